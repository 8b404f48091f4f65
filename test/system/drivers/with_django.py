# SPDX-License-Identifier: ISC
"""Django: its connections, migrations and ORM."""
import copy

import django
from django.conf import settings
from play import play, rows, value

settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql"}}, USE_TZ=True, TIME_ZONE="Europe/Vienna",
                   INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"], DEFAULT_AUTO_FIELD="django.db.models.AutoField",
                   PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"])
django.setup()
from django.contrib.auth.models import Group, User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, connections, models, transaction  # noqa: E402


class Driver:
    def open(self, name, host, port, user, password, dbname, ca):
        tls = {"sslmode": "disable"} if ca == "-" else {"sslmode": "verify-ca", "sslrootcert": ca}
        to = {**copy.deepcopy(connections.settings["default"]), "HOST": host, "PORT": port, "USER": user,
              "PASSWORD": password, "NAME": dbname, "OPTIONS": tls}
        connections.settings[name] = to
        if name == "a":
            connections.settings["default"].update(to)
            connections["default"].close()
            connections["default"].settings_dict.update(to)

    def close(self, name):
        connections[name].close()
        del connections[name]

    def exec(self, name, sql):
        return self.bind(name, sql.replace("%", "%%"))

    def bind(self, name, sql, *words):
        with connections[name].cursor() as cursor:
            cursor.execute(sql.replace("{}", "%s"), [value(w) for w in words])
            return rows(cursor.fetchall()) if cursor.description else [str(cursor.rowcount)]

    def begin(self, name):
        connections[name].set_autocommit(False)

    def commit(self, name):
        self._end(name, "commit")

    def rollback(self, name):
        self._end(name, "rollback")

    def _end(self, name, how):
        try:
            getattr(connections[name], how)()
        finally:
            connections[name].set_autocommit(True)

    def meta(self, name, schema):
        c, out = connections[name], []
        with c.cursor() as cursor:
            cursor.execute(f"SET search_path = {schema}")
            for table in sorted(c.introspection.get_table_list(cursor), key=lambda t: t.name):
                out.append(f"{table} {c.introspection.get_table_description(cursor, table.name)}")
                out += [str(item) for item in sorted(c.introspection.get_constraints(cursor, table.name).items())]
            cursor.execute("RESET search_path")
        return out

    def extra(self, name):
        """Migrate, work with users and groups, migrate back."""
        call_command("migrate", verbosity=0)
        out = []
        try:
            users = [User.objects.create_user(f"u{i}", f"u{i}@x.y", "secret") for i in range(4)]
            for g in range(2):
                group = Group.objects.create(name=f"g{g}")
                group.user_set.add(*users[g::2])
            with transaction.atomic():
                try:
                    with transaction.atomic():
                        Group.objects.create(name="g1")
                except IntegrityError as e:
                    out.append(e.__cause__.pgcode)
                User.objects.filter(username="u3").update(last_name="changed")
            out += [f"{u.username} {u.last_name} {u.has_perm('auth.add_user')} {[g.name for g in u.groups.all()]}"
                    for u in User.objects.order_by("id").prefetch_related("groups").iterator(chunk_size=2)]
            out.append(str(User.objects.aggregate(n=models.Count("id"), top=models.Max("username"))))
            with transaction.atomic():
                out.append(str([u.id for u in User.objects.select_for_update().filter(groups__name="g0", is_active=True)]))
        finally:
            call_command("migrate", "auth", "zero", verbosity=0)
            call_command("migrate", "contenttypes", "zero", verbosity=0)
            with connections["default"].cursor() as cursor:
                cursor.execute("DROP TABLE django_migrations")
        return out


def state_of(e):
    cause = e.__cause__ or e
    return getattr(cause, "pgcode", None), getattr(getattr(cause, "diag", None), "message_primary", None) or e


play(Driver(), state_of)
