// SPDX-License-Identifier: ISC
// pg of Node: simple protocol without parameters, unnamed statements with, names on demand.
'use strict'
const fs = require('fs')
const { Client } = require('pg')
const { text, value, placed, within, play } = require('./play.js')

const on = {}
const heard = {}

function rows (result) {
  if (Array.isArray(result)) return result.flatMap(rows)
  if (!result.fields.length) return [`${result.command} ${result.rowCount}`]
  return result.rows.map(row => row.map(text).join('|'))
}

function run (name, sql, words, more) {
  return on[name].query({ text: placed(sql), values: words.map(value), rowMode: 'array', ...more })
}

play({
  open: async (name, host, port, user, password, database, ca) => {
    const ssl = ca === '-' ? false : { ca: fs.readFileSync(ca), checkServerIdentity: () => undefined }
    on[name] = new Client({ host, port: Number(port), user, password, database, ssl })
    on[name].on('error', () => {})
    heard[name] = []
    on[name].on('notification', m => heard[name].push(m))
    await on[name].connect()
  },
  // end() of a lost connection never says that it is done.
  close: async name => { if (!on[name].connection.stream.destroyed) await on[name].end() },
  exec: async (name, sql) => rows(await on[name].query({ text: sql, rowMode: 'array' })),
  bind: async (name, sql, ...words) => rows(await run(name, sql, words)),
  prep: async (name, sql, ...words) => rows(await run(name, sql, words, { name: 's' + sql.length })),
  binary: async (name, sql, ...words) => rows(await run(name, sql, words, { binary: true })),
  begin: name => on[name].query('BEGIN').then(() => []),
  commit: name => on[name].query('COMMIT').then(() => []),
  rollback: name => on[name].query('ROLLBACK').then(() => []),
  // Its queue: all are asked before the first is answered.
  batch: async (name, sql, ...words) => (await Promise.all(words.map(word => run(name, sql, [word])))).flatMap(rows),
  listen: (name, channel) => on[name].query(`LISTEN "${channel}"`).then(() => []),
  wait: async name => {
    if (!heard[name].length) await within(new Promise(resolve => on[name].once('notification', resolve)), 'notification')
    const m = heard[name].shift()
    return [`${m.channel} ${m.payload}`]
  },
  cancel: async (name, sql) => {
    const [{ pid }] = (await on[name].query('SELECT pg_backend_pid() AS pid')).rows
    void pid
    const running = new (require('pg').Query)(sql)
    const done = new Promise((resolve, reject) => running.on('end', resolve).on('error', reject))
    on[name].query(running)
    const other = new Client({ host: on[name].host, port: on[name].port, ssl: false })
    setTimeout(() => other.cancel(on[name], running), 200)
    await done
    return ['not cancelled']
  },
  // Portals of a few rows: suspended, and asked for more.
  stream: async (name, sql, size) => {
    const result = await on[name].query({ text: sql, values: [], rows: Number(size), rowMode: 'array' })
    return [String(result.rows.length)]
  },
  // Errors in its queue hit only their own query.
  extra: async name => {
    const some = await Promise.allSettled([1, 0, 2].map(n => run(name, 'SELECT 10 / {}::int', ['i:' + n], { name: 'by' })))
    return some.map(s => s.status === 'fulfilled' ? rows(s.value).join() : s.reason.code)
  }
})
