# SPDX-License-Identifier: ISC
# pg of Ruby: libpq as it is, with pipelines.
require 'pg'

$on = {}
$kept = Hash.new { |h, name| h[name] = {} }

def value(word)
  kind, rest = word.split(':', 2)
  return nil if kind == 'n'
  kind == 'b' ? { value: [rest].pack('H*'), format: 1, type: 17 } : rest
end

def text(value) = value.nil? ? 'null' : value.to_s

def rows(result)
  return [result.cmd_status] if result.nfields.zero?
  result.values.map { |row| row.map { |v| text(v) }.join('|') }
end

def placed(sql)
  n = 0
  sql.gsub('{}') { "$#{n += 1}" }
end

ORDERS = {
  open: lambda do |name, host, port, user, password, dbname, ca|
    tls = ca == '-' ? { sslmode: 'disable' } : { sslmode: 'verify-ca', sslrootcert: ca }
    $on[name] = PG.connect(host: host, port: port, user: user, password: password, dbname: dbname, **tls)
    $on[name].set_notice_processor { |_| }
    []
  end,
  close: ->(name) { $kept.delete(name); $on.delete(name).close; [] },
  exec: ->(name, sql) { rows($on[name].exec(sql)) },
  bind: ->(name, sql, *words) { rows($on[name].exec_params(placed(sql), words.map { |w| value(w) })) },
  prep: lambda do |name, sql, *words|
    unless $kept[name].key?(sql)
      $on[name].prepare("s#{$kept[name].size}", placed(sql))
      $kept[name][sql] = "s#{$kept[name].size}"
    end
    rows($on[name].exec_prepared($kept[name][sql], words.map { |w| value(w) }))
  end,
  begin: ->(name) { $on[name].exec('BEGIN'); [] },
  commit: ->(name) { $on[name].exec('COMMIT'); [] },
  rollback: ->(name) { $on[name].exec('ROLLBACK'); [] },
  batch: lambda do |name, sql, *words|
    c = $on[name]
    c.enter_pipeline_mode
    words.each { |w| c.send_query_params(placed(sql), [value(w)]); c.pipeline_sync if w == words[1] }
    c.pipeline_sync
    out = []
    syncs = 0
    while syncs < 2
      result = c.get_result or next
      result.result_status == PG::PGRES_PIPELINE_SYNC ? syncs += 1 : out << result.cmd_status
    end
    c.exit_pipeline_mode
    out
  end,
  copyin: lambda do |name, sql, data|
    rows($on[name].copy_data(sql) { data.split(';').each { |line| $on[name].put_copy_data("#{line}\n") } })
  end,
  copyout: lambda do |name, sql|
    out = []
    $on[name].copy_data(sql) { while (line = $on[name].get_copy_data) do out << line.chomp end }
    out
  end,
  stream: lambda do |name, sql, _size|
    $on[name].send_query(sql)
    $on[name].set_single_row_mode
    sum = 0
    $on[name].get_result.stream_each_row { |row| sum += 1 + (row[0] =~ /\A\d+\z/ ? row[0].to_i : row[0].size) }
    $on[name].get_result
    [sum.to_s]
  end,
  cancel: lambda do |name, sql|
    $on[name].send_query(sql)
    sleep 0.2
    $on[name].cancel
    rows($on[name].get_last_result)
  end,
  listen: ->(name, channel) { rows($on[name].exec("LISTEN #{channel}")) },
  wait: lambda do |name|
    out = nil
    $on[name].wait_for_notify(10) { |channel, _, payload| out = "#{channel} #{payload}" }
    [out || 'no notification']
  end,
  dealloc: ->(name) { $kept[name].each_value { |s| $on[name].exec("DEALLOCATE #{s}") }; $kept.delete(name); [] },
  lob: lambda do |name|
    c = $on[name]
    id = c.transaction do
      id = c.lo_creat
      fd = c.lo_open(id, PG::INV_WRITE)
      c.lo_write(fd, 'abc' * 50_000)
      c.lo_close(fd)
      id
    end
    c.transaction do
      fd = c.lo_open(id, PG::INV_READ)
      c.lo_lseek(fd, 3, PG::SEEK_SET)
      got = c.lo_read(fd, 149_000)
      c.lo_unlink(id)
      ["#{got.size} #{got[0, 6]}"]
    end
  end,
  # The answers it describes without running them, portals by Describe, and its reset.
  extra: lambda do |name|
    c = $on[name]
    c.prepare('described', 'SELECT $1::int AS a, $2::text[] AS b')
    shape = c.describe_prepared('described')
    out = [shape.fields.inspect, shape.ftype(0).to_s, shape.paramtype(1).to_s, c.transaction_status.to_s]
    c.reset
    begin
      c.exec_prepared('described', [1, '{}'])
    rescue PG::Error => e
      out << e.result.error_field(PG::PG_DIAG_SQLSTATE)
    end
    out + rows(c.exec('SELECT 1'))
  end
}.freeze

$stdout.sync = true
$stdin.each_line do |line|
  op, *words = line.chomp.split("\t", -1)
  begin
    out = ORDERS[op.to_sym].call(*words)
  rescue PG::Error => e
    state = e.result&.error_field(PG::PG_DIAG_SQLSTATE)
    out = ["error #{state || '-'} #{e.result&.error_field(PG::PG_DIAG_MESSAGE_PRIMARY) || e.message}"]
  end
  out.each { |said| puts said.gsub("\n", '\n') }
  puts '.'
end
