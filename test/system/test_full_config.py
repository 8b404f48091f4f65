# SPDX-License-Identifier: ISC
"""Whole configurations of PgBouncer 1.25: every key at its default, and every key at another value."""
import os
import shutil
import subprocess

import pytest

from harness import place
from harness.pgweir import binary, environment

# key: default, another value; None where the file says something of its own.
KEYS = """
admin_users||admin
application_name_add_host|0|1
auth_dbname|-|app
auth_file|FILE|FILE
auth_hba_file||FOLDER/hba
auth_ident_file|-|FOLDER/ident
auth_ldap_options|-|ldapserver=127.0.0.1
auth_query|SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname=$1 AND rolcanlogin|SELECT usename, passwd FROM pg_shadow WHERE usename=$1
auth_type|md5|hba
auth_user|-|lookup
autodb_idle_timeout|3600|100
cancel_wait_timeout|10|7
client_idle_timeout|0|1000
client_login_timeout|60|30
client_tls13_ciphers|-|TLS_AES_256_GCM_SHA384
client_tls_ca_file||CA
client_tls_cert_file||CERT
client_tls_ciphers|default|secure
client_tls_dheparams|auto|none
client_tls_ecdhcurve|auto|prime256v1
client_tls_key_file||KEY
client_tls_protocols|secure|tlsv1.3
client_tls_sslmode|disable|allow
conffile|-|INI
default_pool_size|20|5
disable_pqexec|0|1
dns_max_ttl|15|20
dns_nxdomain_ttl|15|20
dns_zone_check_period|0|10
idle_transaction_timeout|0|100
ignore_startup_parameters||extra_float_digits, search_path
job_name|pgbouncer|other
listen_addr|127.0.0.1|127.0.0.1
listen_backlog|128|64
listen_port|PORT|PORT
log_connections|1|0
log_disconnections|1|0
log_pooler_errors|1|0
log_stats|1|0
logfile||FOLDER/other.log
login_notify_message||hello
max_client_conn|100|50
max_db_client_connections|0|40
max_db_connections|0|30
max_packet_size|2147483647|1000000
max_prepared_statements|200|100
max_user_client_connections|0|40
max_user_connections|0|30
min_pool_size|0|1
peer_id|0|1
pidfile||FOLDER/pid
pkt_buf|4096|8192
pool_idle_timeout|0|100
pool_mode|session|transaction
query_timeout|0|100
query_wait_notify|5|3
query_wait_timeout|120|60
reserve_pool_size|0|2
reserve_pool_timeout|5|3
resolv_conf||/etc/resolv.conf
sbuf_loopcnt|5|10
scram_iterations|4096|8192
server_check_delay|30|10
server_check_query|<empty>|select 1
server_connect_timeout|15|10
server_fast_close|0|1
server_idle_timeout|600|60
server_lifetime|3600|1800
server_login_retry|15|5
server_reset_query|DISCARD ALL|DEALLOCATE ALL
server_reset_query_always|0|1
server_round_robin|0|1
server_tls13_ciphers|-|TLS_AES_256_GCM_SHA384
server_tls_ca_file||CA
server_tls_cert_file||CERT
server_tls_ciphers|default|secure
server_tls_key_file||KEY
server_tls_protocols|secure|tlsv1.3
server_tls_sslmode|prefer|disable
so_reuseport|0|1
stats_period|60|30
stats_users||viewer
suspend_timeout|10|5
syslog|0|1
syslog_facility|daemon|local0
syslog_ident|pgbouncer|other
tcp_defer_accept|1|0
tcp_keepalive|1|0
tcp_keepcnt|0|3
tcp_keepidle|0|60
tcp_keepintvl|0|10
tcp_socket_buffer|0|65536
tcp_user_timeout|0|10000
track_extra_parameters|IntervalStyle|IntervalStyle, search_path
transaction_timeout|0|100
unix_socket_dir|FOLDER|FOLDER
unix_socket_group||GROUP
unix_socket_mode|0777|0700
user|-|USER
verbose|0|1
"""


def rows():
    return [line.split("|") for line in KEYS.strip().splitlines()]


def full_file(weir, certs, which, cluster):
    """which: 1 the defaults, 2 the other values."""
    words = {"FILE": weir.userlist_path, "FOLDER": weir.folder, "CA": certs.ca, "CERT": certs.server_cert, "KEY": certs.server_key,
             "INI": weir.ini, "PORT": str(weir.port), "GROUP": "pgweir-test", "USER": "pgweir-test"}
    lines, values = [";; every key", "[pgbouncer]"], {}
    for row in rows():
        value = row[which]
        for word, stands_for in words.items():
            value = value.replace(word, stands_for)
        if value != "-":
            lines.append(f"{row[0]} = {value}")
            values[row[0]] = value
    lines += ["[databases]",
              f"app = host=127.0.0.1 port={cluster.port} dbname=app pool_size=3 min_pool_size=0 reserve_pool_size=1 pool_mode=session "
              "connect_query='SELECT 1' query_wait_timeout=50 load_balance_hosts=disable max_db_connections=20 "
              "max_db_client_connections=30 server_lifetime=900 client_encoding=UTF8 datestyle=ISO timezone=UTC",
              f"forced = host=127.0.0.1 port={cluster.port} dbname=app user=app password=app-pw auth_user=lookup auth_dbname=app "
              "auth_query='SELECT usename, passwd FROM pg_shadow WHERE usename=$1' reserve_pool=1 application_name=weir",
              f"* = host=127.0.0.1,127.0.0.2 port={cluster.port}", "[users]",
              "app = pool_size=3 reserve_pool_size=1 pool_mode=session max_user_connections=10 max_user_client_connections=10 "
              "query_timeout=60 query_wait_timeout=50 idle_transaction_timeout=60 transaction_timeout=60 client_idle_timeout=60",
              "[peers]", "1 = host=127.0.0.1", "2 = host=127.0.0.1 port=6433 pool_size=2"]
    place.write(weir.ini, "\n".join(lines) + "\n")
    place.write(os.path.join(weir.folder, "hba"), "local all all trust\nhost all all 127.0.0.1/32 trust\n")
    place.write(os.path.join(weir.folder, "ident"), "map other app\n")
    return values


@pytest.mark.parametrize("which", [1, 2], ids=["defaults", "others"])
def test_every_key_of_pgbouncer_is_taken(make_weir, certs, cluster, which):
    weir = make_weir(section="pgbouncer", start=False)
    values = full_file(weir, certs, which, cluster)
    weir.general["unix_socket_dir"] = weir.folder
    weir.start()
    if which == 2:
        assert weir.wire().extended("SELECT 1") == [["1"]]
        shown = {r["key"]: r["value"] for r in weir.console("SHOW CONFIG")}
        secret = {"auth_ldap_options"}
        for key, value in values.items():
            if key not in secret:
                assert shown[key] == value, key
        defaults = {r["key"]: r["default"] for r in weir.console("SHOW CONFIG")}
        for key, default, _ in rows():
            if default.upper() != default or default.isdigit():
                assert defaults[key] == default or key in ("listen_addr", "verbose"), key
    assert "changes nothing" not in weir.log() or which == 2


def dumped(*flags):
    p = subprocess.run(place.command(binary(), "--dump-config", *flags), capture_output=True, text=True, timeout=30, env=environment())
    assert p.returncode == 0, p.stderr
    return p.stdout


@pytest.mark.parametrize("which", [1, 2], ids=["defaults", "others"])
def test_what_is_dumped_reads_the_same(make_weir, certs, cluster, which):
    weir = make_weir(section="pgbouncer", start=False)
    full_file(weir, certs, which, cluster)
    first = dumped("--with-secrets", weir.ini)
    again = os.path.join(weir.folder, "again.ini")
    place.write(again, first)
    assert dumped("--with-secrets", again) == first
    assert "password='app-pw'" in first and "app-pw" not in dumped(weir.ini) and "password='********'" in dumped(weir.ini)
    for key in [r[0] for r in rows()]:
        assert f"\n{key} = " in first, key


def test_a_link_called_pgbouncer_tells_pgbouncers_version(tmp_path, make_weir):
    weir = make_weir(section="pgbouncer")
    link = os.path.join(weir.folder, "pgbouncer")
    shutil.copy(binary(), link)
    os.chmod(link, 0o755)
    p = subprocess.run(place.command(link, "--version"), capture_output=True, text=True, timeout=30, env=environment())
    assert p.stdout.splitlines()[0] == weir.console("SHOW VERSION")[0]["version"] == "PgBouncer 1.25.2"
