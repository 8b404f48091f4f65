# SPDX-License-Identifier: ISC
"""A TCP relay that treats what goes through it as bad networks do: late, in pieces, slowly, cut off, half closed, or swallowed."""
import asyncio
import random
import socket
import struct
import threading

from . import place

CALM = {"piece": 1 << 16, "delay": 0.0, "rate": 0, "reset": 0.0, "end": 0.0, "half": 0.0, "swallow": 0.0}


class Mangler:
    """Listens on port, passes on to TARGET_PORT. plan: piece: most bytes that arrive at once; delay: most seconds before a piece;
    rate: bytes per second; reset, end, half, swallow: the chance for each run of bytes that in the middle of it the connection is
    reset, ended, ended in this direction alone, or that nothing comes any more and nobody is told."""

    def __init__(self, target_port, seed=1, **plan):
        self.target_port, self.rng, self.plan, self.counts = target_port, random.Random(seed), {**CALM, **plan}, {}
        self.port, self._connections = place.free_port(), set()
        self._loop, started = asyncio.new_event_loop(), threading.Event()
        threading.Thread(target=self._run, args=(started,), daemon=True).start()
        assert started.wait(10)

    def _run(self, started):
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=200))
        self._loop.call_soon(started.set)
        self._loop.run_forever()

    def mangle(self, **plan):
        """Also what is connected already; CALM first."""
        self.plan = {**CALM, **plan}

    def calm(self):
        """Pass on as it comes. What was swallowed is never given back: those connections are reset, as when a route returns."""
        self.mangle()
        self.reset_all(lambda c: c.swallows)

    def reset_all(self, which=lambda c: True):
        self._loop.call_soon_threadsafe(lambda: [c.reset() for c in list(self._connections) if which(c)])

    def close(self):
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop)

    async def _stop(self):
        self._server.close()
        for c in list(self._connections):
            c.reset()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for t in tasks:
            t.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loop.stop()

    def note(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    async def _serve(self, reader, writer):
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.close()
            return
        c = _Connection(self, writer, to_writer)
        self._connections.add(c)
        try:
            await asyncio.gather(c.pump(reader, to_writer), c.pump(to_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(c)
            c.end()


class _Connection:
    def __init__(self, mangler, *writers):
        self.mangler, self.writers, self.swallows = mangler, writers, False

    def reset(self):
        for w in self.writers:
            s = w.get_extra_info("socket")
            if s is not None and s.fileno() != -1:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            w.transport.abort()

    def end(self):
        for w in self.writers:
            w.close()

    async def pump(self, reader, writer):
        while data := await reader.read(1 << 16):
            if self.swallows:
                continue
            fate = self._fate()
            if fate:
                self.mangler.note(fate)
                data = data[:self.mangler.rng.randrange(len(data) + 1)]
            await self._pass_on(data, writer)
            if fate == "reset":
                self.reset()
            elif fate == "end":
                self.end()
            elif fate == "half":
                writer.write_eof()
                return
            self.swallows = self.swallows or fate == "swallow"
        if not self.swallows and writer.can_write_eof() and not writer.transport.is_closing():
            writer.write_eof()

    def _fate(self):
        chance = self.mangler.rng.random()
        for what in ("reset", "end", "half", "swallow"):
            chance -= self.mangler.plan[what]
            if chance < 0:
                return what
        return None

    async def _pass_on(self, data, writer):
        at = 0
        while at < len(data) and not self.swallows:
            plan = self.mangler.plan
            n = self.mangler.rng.randrange(1, plan["piece"] + 1) if plan["piece"] < 1 << 16 else 1 << 16
            wait = self.mangler.rng.random() * plan["delay"] + (min(n, len(data) - at) / plan["rate"] if plan["rate"] else 0)
            if wait:
                await asyncio.sleep(wait)
            writer.write(data[at:at + n])
            await writer.drain()
            at += n
