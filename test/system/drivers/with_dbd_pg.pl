# SPDX-License-Identifier: ISC
# DBD::Pg: statements prepared by name from the second time on, dropped with DEALLOCATE in SQL.
use strict;
use warnings;
use DBI;
use DBD::Pg qw(:pg_types :async);

my (%on, %kept);
$| = 1;
binmode STDOUT, ':utf8';
binmode STDIN, ':utf8';

sub value { my ($kind, $rest) = split /:/, $_[0], 2; return $kind eq 'n' ? undef : $kind eq 'b' ? pack('H*', $rest) : $rest }

sub rows {
    my ($st) = @_;
    return ($st->rows . '') unless $st->{NUM_OF_FIELDS};
    return map { join '|', map { !defined $_ ? 'null' : ref $_ ? '[' . join(',', map { $_ // 'null' } @$_) . ']' : $_ } @$_ }
        @{ $st->fetchall_arrayref };
}

sub run {
    my ($st, @words) = @_;
    for my $i (1 .. @words) {
        my $bytes = $words[$i - 1] =~ /^b:/;
        $st->bind_param($i, value($words[$i - 1]), $bytes ? { pg_type => PG_BYTEA } : ());
    }
    $st->execute;
    return rows($st);
}

sub placed { my ($sql) = @_; $sql =~ s/\{\}/?/g; return $sql }

my %do = (
    open => sub {
        my ($name, $host, $port, $user, $password, $dbname, $ca) = @_;
        my $tls = $ca eq '-' ? 'sslmode=disable' : "sslmode=verify-ca;sslrootcert=$ca";
        $on{$name} = DBI->connect("dbi:Pg:host=$host;port=$port;dbname=$dbname;$tls", $user, $password,
            { AutoCommit => 1, RaiseError => 1, PrintError => 0, PrintWarn => 0 });
        return;
    },
    close => sub { delete $kept{ $_[0] }; (delete $on{ $_[0] })->disconnect; return },
    exec => sub {
        my ($name, $sql) = @_;
        return run($on{$name}->prepare($sql, { pg_placeholder_dollaronly => 1 })) if $sql =~ /^(SELECT|SHOW|VALUES)/;
        return ($on{$name}->do($sql) . '');
    },
    bind => sub { my ($name, $sql, @words) = @_; return run($on{$name}->prepare(placed($sql)), @words) },
    prep => sub {
        my ($name, $sql, @words) = @_;
        $kept{$name}{$sql} //= $on{$name}->prepare(placed($sql), { pg_prepare_now => 1 });
        return run($kept{$name}{$sql}, @words);
    },
    begin => sub { $on{ $_[0] }->begin_work; return },
    commit => sub { $on{ $_[0] }->commit; return },
    rollback => sub { $on{ $_[0] }->rollback; return },
    batch => sub {
        my ($name, $sql, @words) = @_;
        return ($on{$name}->prepare(placed($sql))->execute_array({}, [map { value($_) } @words]) . '');
    },
    copyin => sub {
        my ($name, $sql, $data) = @_;
        $on{$name}->do($sql);
        $on{$name}->pg_putcopydata("$_\n") for split /;/, $data;
        return ($on{$name}->pg_putcopyend . '');
    },
    copyout => sub {
        my ($name, $sql) = @_;
        my ($line, @out);
        $on{$name}->do($sql);
        while ($on{$name}->pg_getcopydata($line) >= 0) { chomp $line; push @out, $line }
        return @out;
    },
    cancel => sub {
        my ($name, $sql) = @_;
        $on{$name}->do($sql, { pg_async => PG_ASYNC });
        select undef, undef, undef, 0.2;
        return 'cancelled ' . $on{$name}->pg_cancel;
    },
    listen => sub { $on{ $_[0] }->do("LISTEN \"$_[1]\""); return },
    wait => sub {
        my ($name) = @_;
        for (1 .. 1000) {
            my $got = $on{$name}->pg_notifies;
            return "$got->[0] $got->[2]" if $got;
            select undef, undef, undef, 0.01;
        }
        die "no notification\n";
    },
    dealloc => sub { delete $kept{ $_[0] }; return },
    lob => sub {
        my ($db) = $on{ $_[0] };
        $db->begin_work;
        my $id = $db->pg_lo_creat($db->{pg_INV_READ} | $db->{pg_INV_WRITE});
        my $fd = $db->pg_lo_open($id, $db->{pg_INV_WRITE});
        $db->pg_lo_write($fd, 'abc' x 50000, 150000);
        $db->pg_lo_close($fd);
        $db->commit;
        $db->begin_work;
        $fd = $db->pg_lo_open($id, $db->{pg_INV_READ});
        $db->pg_lo_lseek($fd, 3, 0);
        my $n = $db->pg_lo_read($fd, my $got, 149000);
        $db->pg_lo_unlink($id);
        $db->commit;
        return "$n " . substr $got, 0, 6;
    },
    meta => sub {
        my ($name, $schema) = @_;
        my $db = $on{$name};
        my @tables = sort map { $_->[2] } @{ $db->table_info(undef, $schema, '%', 'TABLE')->fetchall_arrayref };
        my @out = rows($db->table_info(undef, $schema, '%', 'TABLE,VIEW'));
        for my $table (@tables) {
            push @out, rows($db->column_info(undef, $schema, $table, '%'));
            push @out, join ',', $db->primary_key(undef, $schema, $table);
            push @out, rows($db->statistics_info(undef, $schema, $table, 0, 0));
            my $keys = $db->foreign_key_info(undef, undef, undef, undef, $schema, $table);
            push @out, rows($keys) if $keys;
        }
        return @out;
    },
    # Savepoints by its own calls, ping, the state of the connection, and types given by number.
    extra => sub {
        my ($db) = $on{ $_[0] };
        $db->do('CREATE TEMP TABLE own (i int, b bytea)');
        $db->begin_work;
        my $st = $db->prepare('INSERT INTO own VALUES (?, ?)');
        $st->bind_param(2, undef, { pg_type => PG_BYTEA });
        $st->execute(1, "\0\1\377");
        $db->pg_savepoint('sp');
        $st->execute(2, 'x');
        $db->pg_rollback_to('sp');
        my @out = 'state ' . $db->ping;
        $db->commit;
        push @out, map { "$_->[0] " . unpack 'H*', $_->[1] } @{ $db->selectall_arrayref('SELECT * FROM own') };
        $db->do('DISCARD TEMP');
        return @out, 'state ' . $db->ping;
    },
);

while (my $line = <STDIN>) {
    chomp $line;
    my ($op, $name, @words) = split /\t/, $line, -1;
    my @out = eval { $do{$op}->($name, @words) };
    if ($@) {
        my $db = $on{$name};
        my ($state, $said) = ref $db && $db->err ? ($db->state, $db->errstr) : ('-', $@);
        $said =~ s/^(ERROR|FATAL): +//;
        $said =~ s/\n.*//s;
        @out = ("error $state $said");
    }
    for (@out) { my $said = $_ // 'null'; $said =~ s/\n/\\n/g; print "$said\n" }
    print ".\n";
}
