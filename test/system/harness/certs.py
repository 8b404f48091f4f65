# SPDX-License-Identifier: ISC
"""A small certificate authority made with openssl, and another that nobody trusts."""
import os

from . import place


class Certs:
    """Paths: ca, server_cert, server_key, client_cert, client_key (CN app), stranger_ca, stranger_cert, stranger_key;
    other_cert and other_key are good but for the name other.example."""

    def __init__(self, folder):
        self.folder = folder
        os.mkdir(folder)
        place.give(folder)
        self.ca, ca_key = self._root("ca")
        self.stranger_ca, stranger_key = self._root("stranger")
        self.server_cert, self.server_key = self._leaf("server", "localhost", "DNS:localhost,IP:127.0.0.1,IP:::1", self.ca, ca_key)
        self.other_cert, self.other_key = self._leaf("other", "other.example", "DNS:other.example", self.ca, ca_key)
        self.client_cert, self.client_key = self._leaf("client", "app", None, self.ca, ca_key)
        self.stranger_cert, self.stranger_key = self._leaf("lost", "app", None, self.stranger_ca, stranger_key)
        self._ca_key = ca_key

    def leaf(self, name, common_name, alternatives):
        """(certificate, key) of one more, signed by ca."""
        return self._leaf(name, common_name, alternatives, self.ca, self._ca_key)

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _root(self, name):
        cert, key = self._path(name + ".crt"), self._path(name + ".key")
        place.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                  "-days", "3650", "-subj", f"/CN={name}", "-keyout", key, "-out", cert)
        return cert, key

    def _leaf(self, name, common_name, alternatives, ca, ca_key):
        cert, key, request = self._path(name + ".crt"), self._path(name + ".key"), self._path(name + ".csr")
        place.run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                  "-subj", f"/CN={common_name}", "-keyout", key, "-out", request)
        extra = place.write(self._path(name + ".ext"),
                            f"subjectAltName={alternatives}\n" if alternatives else "basicConstraints=CA:FALSE\n")
        place.run("openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial",
                  "-days", "3650", "-extfile", extra, "-out", cert)
        os.chmod(key, 0o600)
        return cert, key
