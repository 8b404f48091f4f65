# SPDX-License-Identifier: ISC
"""What system and peer tests stand on: private PostgreSQL clusters, pgweir processes, raw protocol clients.

    PGWEIR=build/pgweir pytest -n 4 test/system test/peer        (-m slow for the few that take long)

PGWEIR is the program (default build/pgweir), PG_BIN the folder of initdb and postgres, PGWEIR_TEST_DIR where files go,
PGWEIR_KEEP=1 keeps them. As root, servers run as the user pgweir-test, which is made when it is not there.
"""
