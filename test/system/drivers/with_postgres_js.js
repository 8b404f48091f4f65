// SPDX-License-Identifier: ISC
// postgres.js: every statement named and kept, all pipelined; LISTEN on a connection of its own.
'use strict'
const fs = require('fs')
const { Readable } = require('stream')
const { pipeline } = require('stream/promises')
const postgres = require('postgres')
const { text, value, placed, within, play } = require('./play.js')

const on = {}
const held = {}
const heard = {}

function rows (result) {
  if (result.length && Array.isArray(result[0]) && result[0].command) return result.flatMap(rows)
  return result.columns && result.columns.length ? [...result].map(row => row.map(text).join('|')) : [`${result.command} ${result.count}`]
}

const user = name => (held[name] || on[name])
const plain = (name, sql) => user(name).unsafe(sql).values()
const named = (name, sql, words) => user(name).unsafe(placed(sql), words.map(value), { prepare: true }).values()

// A transaction by its own begin(), kept open until end() says how.
async function begin (name) {
  await new Promise((resolve, reject) => {
    const block = on[name].begin(sql => new Promise((good, bad) => {
      held[name] = sql
      held[name].end = how => {
        delete held[name]
        how === 'commit' ? good() : bad(new Error('rolled back'))
        return block.then(() => [], e => { if (e.message !== 'rolled back') throw e })
      }
      resolve()
    }))
    block.catch(reject)
  })
}

play({
  open: (name, host, port, username, password, database, ca) => {
    const ssl = ca === '-' ? false : { ca: fs.readFileSync(ca), checkServerIdentity: () => undefined }
    on[name] = postgres({ host, port: Number(port), username, password, database, ssl, max: 1, onnotice: () => {} })
    heard[name] = { got: [] }
  },
  close: name => on[name].end({ timeout: 5 }).then(() => []),
  exec: async (name, sql) => rows(await plain(name, sql)),
  bind: async (name, sql, ...words) => rows(await named(name, sql, words)),
  prep: async (name, sql, ...words) => rows(await named(name, sql, words)),
  begin,
  commit: name => held[name].end('commit'),
  rollback: name => held[name].end('rollback'),
  batch: async (name, sql, ...words) => (await Promise.all(words.map(word => named(name, sql, [word])))).flatMap(rows),
  stream: async (name, sql, size) => {
    let sum = 0
    await on[name].unsafe(sql).cursor(Number(size), some => { for (const row of some) for (const v of Object.values(row)) sum += 1 + (typeof v === 'string' ? v.length : v) })
    return [String(sum)]
  },
  cancel: async (name, sql) => {
    const running = on[name].unsafe(sql)
    setTimeout(() => running.cancel(), 200)
    return rows(await running.values())
  },
  listen: async (name, channel) => {
    await on[name].listen(channel, payload => { heard[name].got.push(`${channel} ${payload}`); heard[name].wake?.() })
  },
  wait: async name => {
    if (!heard[name].got.length) await within(new Promise(resolve => { heard[name].wake = resolve }), 'notification')
    return [heard[name].got.shift()]
  },
  // Tagged templates, savepoints, COPY, helpers for rows, and what describe says.
  extra: async name => {
    const sql = on[name]
    const out = []
    await sql.begin(async sql => {
      await sql`CREATE TEMP TABLE js_own (a int, b text) ON COMMIT DROP`
      await sql`INSERT INTO js_own ${sql([{ a: 1, b: 'x' }, { a: 2, b: 'y' }])}`
      await sql.savepoint(sql => sql`SELECT 1 / 0`).catch(e => out.push(e.code))
      await pipeline(Readable.from(['3\tz\n', '4\t\\N\n']), await sql`COPY js_own FROM STDIN`.writable())
      for await (const part of await sql`COPY js_own TO STDOUT`.readable()) out.push(String(part))
      out.push(...rows(await sql`SELECT * FROM js_own WHERE a = ANY(${[1, 2, 3, 4]}) ORDER BY ${sql('b')} DESC`.values()))
    })
    const shape = await sql`SELECT ${1}::int AS a, ${'b'}::text AS b`.describe()
    return [...out, JSON.stringify(shape.columns.map(c => [c.name, c.type])), JSON.stringify(shape.types)]
  }
})
