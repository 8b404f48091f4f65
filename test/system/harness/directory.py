# SPDX-License-Identifier: ISC
"""A private LDAP server: slapd as a plain user on free ports of the loopback."""
import os
import signal
import socket
import subprocess

from . import place
from .wait import wait_until

BASE = "dc=example,dc=org"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{BASE}", "admin-secret"

CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile {certs.ca}
TLSCertificateFile {certs.server_cert}
TLSCertificateKeyFile {certs.server_key}
database mdb
maxsize 10485760
suffix "{BASE}"
rootdn "{ADMIN}"
rootpw {ADMIN_PASSWORD}
directory {folder}/data
"""

PERSON = """
dn: uid={name},ou=people,{BASE}
objectClass: inetOrgPerson
uid: {name}
cn: {name}
sn: {name}
mail: {name}@example.org
userPassword: {name}-ldap
"""


class Directory:
    """One person for each of PEOPLE, uid NAME below ou=people, password NAME-ldap."""

    def __init__(self, folder, certs, people):
        self.folder, self.port, self.tls_port = folder, place.free_port(), place.free_port()
        os.mkdir(folder)
        place.give(folder)
        os.mkdir(f"{folder}/data")
        place.give(f"{folder}/data")
        names = {"certs": certs, "folder": folder, "BASE": BASE, "ADMIN": ADMIN, "ADMIN_PASSWORD": ADMIN_PASSWORD}
        conf = place.write(f"{folder}/slapd.conf", CONF.format(**names))
        entries = f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: x\ndc: example\n\n" \
                  f"dn: ou=people,{BASE}\nobjectClass: organizationalUnit\nou: people\n"
        ldif = place.write(f"{folder}/people.ldif", entries + "".join(PERSON.format(name=n, BASE=BASE) for n in people))
        place.run("/usr/sbin/slapadd", "-f", conf, "-l", ldif)
        with open(f"{folder}/log", "ab") as log:
            self.process = subprocess.Popen(
                place.command("/usr/sbin/slapd", "-f", conf, "-d", "0", "-h",
                              f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self.tls_port}"),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        wait_until(self._answers, 20, "slapd accepting connections")

    def _answers(self):
        assert self.process.poll() is None, "slapd ended"
        try:
            for port in (self.port, self.tls_port):
                socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.thaw()
        self.process.kill()
        self.process.wait(10)
