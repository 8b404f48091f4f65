// SPDX-License-Identifier: ISC
// What the programs for Node share: read an order, let the driver do it, print what came of it.
'use strict'
const readline = require('readline')

function text (value) {
  if (value === null || value === undefined) return 'null'
  if (Buffer.isBuffer(value)) return value.toString('hex')
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function value (word) {
  const kind = word[0]
  const rest = word.slice(2)
  if (kind === 'n') return null
  if (kind === 'i' || kind === 'f') return Number(rest)
  if (kind === 't') return rest === 'true'
  return kind === 'b' ? Buffer.from(rest, 'hex') : rest
}

function placed (sql) {
  let n = 0
  return sql.replace(/\{\}/g, () => '$' + ++n)
}

function within (promise, what) {
  let timer
  const late = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error('no ' + what)), 10000) })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

async function play (orders) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [op, ...words] = line.split('\t')
    let out
    try {
      out = await orders[op](...words)
    } catch (e) {
      out = [`error ${/^[0-9A-Z]{5}$/.test(e.code) ? e.code : '-'} ${e.message}`]
    }
    process.stdout.write([...(out || []), '.'].map(said => said.replace(/\n/g, '\\n') + '\n').join(''))
  }
  process.exit(0)
}

module.exports = { text, value, placed, within, play }
