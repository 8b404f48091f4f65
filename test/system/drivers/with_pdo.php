<?php
// SPDX-License-Identifier: ISC
// PDO: every statement prepared by name and dropped with DEALLOCATE in SQL.
$on = [];
$kept = [];

function on(string $name): PDO
{
    return $GLOBALS['on'][$name];
}

function value(string $word)
{
    [$kind, $rest] = explode(':', $word, 2);
    return ['i' => fn() => (int) $rest, 'n' => fn() => null, 'b' => fn() => hex2bin($rest), 't' => fn() => $rest === 'true']
        [$kind] ?? fn() => $rest;
}

function text($value): string
{
    if (is_resource($value)) return bin2hex(stream_get_contents($value));
    return $value === null ? 'null' : (is_bool($value) ? ($value ? 'true' : 'false') : (string) $value);
}

function rows(PDOStatement $st): array
{
    if ($st->columnCount() === 0) return [(string) $st->rowCount()];
    return array_map(fn($row) => implode('|', array_map('text', $row)), $st->fetchAll(PDO::FETCH_NUM));
}

function run(PDOStatement $st, array $words): array
{
    foreach ($words as $i => $word) {
        $v = value($word)();
        $kind = $word[0] === 'b' ? PDO::PARAM_LOB : (is_int($v) ? PDO::PARAM_INT : PDO::PARAM_STR);
        $st->bindValue($i + 1, $v, is_bool($v) ? PDO::PARAM_BOOL : $kind);
    }
    $st->execute();
    return rows($st);
}

$orders = [
    'open' => function ($name, $host, $port, $user, $password, $dbname, $ca) use (&$on) {
        $tls = $ca === '-' ? 'sslmode=disable' : "sslmode=verify-ca;sslrootcert=$ca";
        $on[$name] = new PDO("pgsql:host=$host;port=$port;dbname=$dbname;$tls", $user, $password);
    },
    'close' => function ($name) use (&$on, &$kept) { unset($kept[$name], $on[$name]); },
    'exec' => fn($name, $sql) => rows(on($name)->query($sql)),
    'bind' => fn($name, $sql, ...$words) => run(on($name)->prepare(str_replace('{}', '?', $sql)), $words),
    'prep' => function ($name, $sql, ...$words) use (&$kept) {
        $kept[$name][$sql] ??= on($name)->prepare(str_replace('{}', '?', $sql));
        return run($kept[$name][$sql], $words);
    },
    'begin' => fn($name) => on($name)->beginTransaction() ? [] : ['no'],
    'commit' => fn($name) => on($name)->commit() ? [] : ['no'],
    'rollback' => fn($name) => on($name)->rollBack() ? [] : ['no'],
    'batch' => function ($name, $sql, ...$words) {
        $st = on($name)->prepare(str_replace('{}', '?', $sql), [PDO::ATTR_EMULATE_PREPARES => true]);
        return array_merge(...array_map(fn($word) => run($st, [$word]), $words));
    },
    'copyin' => function ($name, $sql, $data) {
        $table = explode(' ', $sql)[1];
        return [text(on($name)->pgsqlCopyFromArray($table, explode(';', $data), ','))];
    },
    'copyout' => fn($name, $sql) => array_map('rtrim', on($name)->pgsqlCopyToArray('(' . explode(') TO', explode('(', $sql, 2)[1])[0] . ')', ',')),
    'stream' => function ($name, $sql, $size) {
        on($name)->beginTransaction();
        $st = on($name)->prepare($sql, [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
        $st->execute();
        for ($sum = 0; $row = $st->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_NEXT);) $sum += 1 + (is_string($row[0]) ? strlen($row[0]) : $row[0]);
        $st = null;
        on($name)->commit();
        return [(string) $sum];
    },
    'listen' => fn($name, $channel) => rows(on($name)->query("LISTEN \"$channel\"")),
    'wait' => function ($name) {
        $got = on($name)->pgsqlGetNotify(PDO::FETCH_ASSOC, 10000);
        return ["$got[message] $got[payload]"];
    },
    'dealloc' => function ($name) use (&$kept) { unset($kept[$name]); },
    'lob' => function ($name) {
        $db = on($name);
        $db->beginTransaction();
        $id = $db->pgsqlLOBCreate();
        $large = $db->pgsqlLOBOpen($id, 'w');
        fwrite($large, str_repeat('abc', 50000));
        $large = null;
        $db->commit();
        $db->beginTransaction();
        $large = $db->pgsqlLOBOpen($id, 'r');
        $got = stream_get_contents($large);
        $large = null;
        $db->pgsqlLOBUnlink($id);
        $db->commit();
        return [strlen($got) . ' ' . substr($got, 0, 6)];
    },
    // What it keeps of a failed statement, and parameters in the text instead of beside it.
    'extra' => function ($name) {
        $db = on($name);
        $st = $db->prepare('SELECT 10 / CAST(? AS int)');
        $out = [];
        foreach ([5, 0, 2] as $by) {
            try {
                $st->execute([$by]);
                $out = array_merge($out, rows($st));
            } catch (PDOException $e) {
                $out[] = $e->errorInfo[0];
            }
        }
        $db->setAttribute(PDO::ATTR_EMULATE_PREPARES, true);
        return array_merge($out, run($db->prepare("SELECT ?, 'a?b'"), ["s:it's"]), [$db->quote("it's"), text($db->inTransaction())]);
    },
];

while (($line = fgets(STDIN)) !== false) {
    $words = explode("\t", rtrim($line, "\n"));
    try {
        $out = $orders[array_shift($words)](...$words) ?? [];
    } catch (PDOException $e) {
        $said = preg_replace('/\n.*/s', '', preg_replace('/^.*?(ERROR|FATAL): +/s', '', $e->getMessage()));
        $out = ['error ' . ($e->errorInfo[0] ?? '-') . ' ' . $said];
    }
    foreach ($out as $said) echo str_replace("\n", '\n', $said), "\n";
    echo ".\n";
}
