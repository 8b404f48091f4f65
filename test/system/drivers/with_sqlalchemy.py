# SPDX-License-Identifier: ISC
"""SQLAlchemy over psycopg2, with its own pool, which rolls back what comes back to it."""
import sqlalchemy as sa
from play import play, rows, value
from sqlalchemy import orm


class Driver:
    def __init__(self):
        self.engines, self.blocks = {}, {}

    def open(self, name, host, port, user, password, dbname, ca):
        tls = {"sslmode": "disable"} if ca == "-" else {"sslmode": "verify-ca", "sslrootcert": ca}
        url = sa.engine.URL.create("postgresql+psycopg2", user, password, host, int(port), dbname)
        self.engines[name] = sa.create_engine(url, connect_args=tls, pool_pre_ping=True)

    def close(self, name):
        self.engines.pop(name).dispose()

    def _run(self, name, sql, params):
        if name in self.blocks:
            return self._said(self.blocks[name][0].execute(sql, params))
        with self.engines[name].begin() as c:
            return self._said(c.execute(sql, params))

    def _said(self, result):
        return rows(result) if result.returns_rows else [str(result.rowcount)]

    def exec(self, name, sql):
        return self._run(name, sa.text(sql.replace(":", "\\:")), {})

    def bind(self, name, sql, *words):
        params = {f"p{i}": value(w) for i, w in enumerate(words)}
        for p in params:
            sql = sql.replace("{}", f"CAST(:{p} AS text)" if "{}::" not in sql else f":{p}", 1)
        return self._run(name, sa.text(sql.replace("::", "\\:\\:")), params)

    def begin(self, name):
        c = self.engines[name].connect()
        self.blocks[name] = c, c.begin()

    def commit(self, name):
        self._end(name, "commit")

    def rollback(self, name):
        self._end(name, "rollback")

    def _end(self, name, how):
        c, block = self.blocks.pop(name)
        with c:
            getattr(block, how)()

    def batch(self, name, sql, *words):
        with self.engines[name].begin() as c:
            return [str(c.execute(sa.text(sql.replace("::", "\\:\\:").replace("{}", ":p")), [{"p": value(w)} for w in words]).rowcount)]

    def stream(self, name, sql, size):
        with self.engines[name].connect().execution_options(stream_results=True, max_row_buffer=int(size)) as c:
            return [str(sum(1 + (len(row[0]) if isinstance(row[0], str) else row[0]) for row in c.execute(sa.text(sql))))]

    def meta(self, name, schema):
        look, out = sa.inspect(self.engines[name]), []
        for table in sorted(look.get_table_names(schema)):
            out.append(f"{table} {[(c['name'], str(c['type']), c['nullable'], c['default']) for c in look.get_columns(table, schema)]}")
            out.append(f"{look.get_pk_constraint(table, schema)} {look.get_foreign_keys(table, schema)}")
            out.append(f"{look.get_indexes(table, schema)} {look.get_check_constraints(table, schema)}")
        return out + [str(look.get_view_names(schema))]

    def extra(self, name):
        """Tables made, filled, read, changed and dropped by its ORM."""
        base, engine = orm.declarative_base(), self.engines[name]

        class Parent(base):
            __tablename__ = "orm_parent"
            id = sa.Column(sa.Integer, primary_key=True)
            label = sa.Column(sa.String(20), unique=True)
            children = orm.relationship("Child", order_by="Child.id")

        class Child(base):
            __tablename__ = "orm_child"
            id = sa.Column(sa.Integer, primary_key=True)
            parent = sa.Column(sa.ForeignKey("orm_parent.id"))
            size = sa.Column(sa.Numeric(10, 2))

        base.metadata.drop_all(engine)
        base.metadata.create_all(engine)
        with orm.Session(engine) as s:
            s.add_all([Parent(label=f"p{i}", children=[Child(size=i * 1.5 + j) for j in range(3)]) for i in range(3)])
            s.commit()
            out = [f"{p.label} {[(c.id, str(c.size)) for c in p.children]}" for p in s.query(Parent).order_by(Parent.id)]
            s.add(Parent(label="p1"))
            try:
                s.commit()
            except sa.exc.IntegrityError as e:
                out.append(e.orig.pgcode)
                s.rollback()
            with s.begin_nested() as inner:
                s.query(Child).filter(Child.size > 3).delete()
                inner.rollback()
            s.query(Child).filter(Child.size < 1).update({"size": 100})
            s.commit()
            out.append(str(s.query(sa.func.sum(Child.size)).scalar()))
        base.metadata.drop_all(engine)
        return out


play(Driver(), lambda e: (getattr(getattr(e, "orig", e), "pgcode", None),
                          getattr(getattr(getattr(e, "orig", e), "diag", None), "message_primary", None) or e))
