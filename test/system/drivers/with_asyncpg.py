# SPDX-License-Identifier: ISC
"""asyncpg: binary formats, every statement prepared by name and kept, types looked up in the catalog."""
import asyncio
import ssl

import asyncpg
from play import lines, play, rows, value


def placed(sql):
    for i in range(1, sql.count("{}") + 1):
        sql = sql.replace("{}", f"${i}", 1)
    return sql


class Driver:
    def __init__(self):
        self.open_ones, self.heard, self.blocks = {}, {}, {}
        self.loop = asyncio.new_event_loop()

    def _wait(self, what):
        return self.loop.run_until_complete(what)

    def open(self, name, host, port, user, password, dbname, ca):
        tls = False
        if ca != "-":
            tls = ssl.create_default_context(cafile=ca)
            tls.check_hostname = False
        self.open_ones[name] = self._wait(asyncpg.connect(host=host, port=int(port), user=user, password=password,
                                                          database=dbname, ssl=tls))

    def close(self, name):
        self._wait(self.open_ones.pop(name).close())

    def exec(self, name, sql):
        c = self.open_ones[name]
        if sql.split()[0] in ("SELECT", "SHOW", "VALUES"):
            return rows(self._wait(c.fetch(sql)))
        return [self._wait(c.execute(sql))]

    def bind(self, name, sql, *words):
        return rows(self._wait(self.open_ones[name].fetch(placed(sql), *map(value, words))))

    def prep(self, name, sql, *words):
        async def run():
            statement = await self.open_ones[name].prepare(placed(sql))
            return await statement.fetch(*map(value, words))
        return rows(self._wait(run()))

    def begin(self, name):
        self.blocks[name] = self.open_ones[name].transaction()
        self._wait(self.blocks[name].start())

    def commit(self, name):
        self._wait(self.blocks.pop(name).commit())

    def rollback(self, name):
        self._wait(self.blocks.pop(name).rollback())

    def batch(self, name, sql, *words):
        self._wait(self.open_ones[name].executemany(placed(sql), [(value(w),) for w in words]))
        return ["done"]

    def copyin(self, name, sql, data):
        """Its COPY wants to build the text itself."""
        table, columns = sql.split()[1], [c.strip() for c in sql[sql.index("(") + 1:sql.index(")")].split(",")]

        async def source():
            yield lines(data).encode()
        return [self._wait(self.open_ones[name].copy_to_table(table, columns=columns, source=source(), format="csv"))]

    def copyout(self, name, sql):
        async def run():
            out = bytearray()

            async def sink(data):
                out.extend(data)
            await self.open_ones[name].copy_from_query(sql[sql.index("(") + 1:sql.rindex(") TO")], output=sink, format="csv")
            return out.decode().splitlines()
        return self._wait(run())

    def stream(self, name, sql, size):
        async def run():
            found, c = 0, self.open_ones[name]
            async with c.transaction():
                async for row in c.cursor(sql, prefetch=int(size)):
                    found += 1 + (len(row[0]) if isinstance(row[0], str) else row[0])
            return found
        return [str(self._wait(run()))]

    def cancel(self, name, sql):
        try:
            self._wait(self.open_ones[name].execute(sql, timeout=0.3))
        except asyncio.TimeoutError:
            return ["timed out, which cancels it"]

    def listen(self, name, channel):
        self.heard[name] = asyncio.Queue()
        self._wait(self.open_ones[name].add_listener(
            channel, lambda c, pid, got, payload: self.heard[name].put_nowait(f"{got} {payload}")))

    def wait(self, name):
        return [self._wait(asyncio.wait_for(self.heard[name].get(), 10))]

    def dealloc(self, name):
        self._wait(self.open_ones[name].reload_schema_state())

    def extra(self, name):
        """A type of our own, which it looks up; and what its pool sends between two users of a connection."""
        async def run():
            c = self.open_ones[name]
            await c.execute("DROP TYPE IF EXISTS own_pair; CREATE TYPE own_pair AS (a int, b text[])")
            out = [str(await c.fetchval("SELECT array[(1, '{x,y}')::own_pair]"))]
            await c.execute("SET search_path = nowhere; SET timezone = 'Asia/Tokyo'")
            await c.reset()
            out.append(str(await c.fetchval("SELECT current_setting('search_path') || current_setting('timezone')")))
            async with c.transaction(isolation="serializable", readonly=True):
                out.append(await c.fetchval("SELECT current_setting('transaction_isolation')"))
            await c.execute("DROP TYPE own_pair")
            await c.reload_schema_state()
            return out
        return self._wait(run())


play(Driver(), lambda e: (getattr(e, "sqlstate", None), getattr(e, "message", None) or e))
