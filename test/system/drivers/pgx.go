// SPDX-License-Identifier: ISC

// pgx: binary formats, every statement prepared by name and kept, batches.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
)

type link struct {
	c  *pgx.Conn
	tx pgx.Tx
}

var on = map[string]*link{}
var always = context.Background()

func value(word string) interface{} {
	rest := word[2:]
	switch word[0] {
	case 'n':
		return nil
	case 'i':
		n, _ := strconv.ParseInt(rest, 10, 64)
		return n
	case 'f':
		f, _ := strconv.ParseFloat(rest, 64)
		return f
	case 't':
		return rest == "true"
	case 'b':
		b, _ := hex.DecodeString(rest)
		return b
	}
	return rest
}

func values(words []string) (out []interface{}) {
	for _, w := range words {
		out = append(out, value(w))
	}
	return out
}

func placed(s string) string {
	for i := 1; strings.Contains(s, "{}"); i++ {
		s = strings.Replace(s, "{}", "$"+strconv.Itoa(i), 1)
	}
	return s
}

func rows(found pgx.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer found.Close()
	out := []string{}
	for found.Next() {
		cells, err := found.Values()
		if err != nil {
			return nil, err
		}
		words := make([]string, len(cells))
		for i, v := range cells {
			words[i] = fmt.Sprint(v)
		}
		out = append(out, strings.Join(words, "|"))
	}
	if tag := string(found.CommandTag()); found.Err() == nil && len(found.FieldDescriptions()) == 0 {
		out = append(out, tag)
	}
	return out, found.Err()
}

func open(w []string) ([]string, error) {
	tls := "sslmode=disable"
	if w[6] != "-" {
		tls = "sslmode=verify-ca sslrootcert=" + w[6]
	}
	c, err := pgx.Connect(always, fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s %s", w[1], w[2], w[3], w[4], w[5], tls))
	on[w[0]] = &link{c: c}
	return nil, err
}

func (l *link) prep(s string, words []string) ([]string, error) {
	name := "s" + strconv.Itoa(len(s))
	if _, err := l.c.Prepare(always, name, placed(s)); err != nil {
		return nil, err
	}
	return rows(l.c.Query(always, name, values(words)...))
}

func (l *link) end(how func(context.Context) error) ([]string, error) {
	l.tx = nil
	return nil, how(always)
}

func (l *link) batch(s string, words []string) ([]string, error) {
	b, out := &pgx.Batch{}, []string{}
	for _, w := range words {
		b.Queue(placed(s), value(w))
	}
	b.Queue("SELECT 'last'")
	answers := l.c.SendBatch(always, b)
	for range words {
		tag, err := answers.Exec()
		if err != nil {
			answers.Close()
			return out, err
		}
		out = append(out, string(tag))
	}
	last, err := rows(answers.Query())
	answers.Close()
	return append(out, last...), err
}

func (l *link) copyIn(s string, data string) ([]string, error) {
	tag, err := l.c.PgConn().CopyFrom(always, strings.NewReader(strings.ReplaceAll(data, ";", "\n")+"\n"), s)
	return []string{string(tag)}, err
}

func (l *link) copyOut(s string) ([]string, error) {
	var all bytes.Buffer
	_, err := l.c.PgConn().CopyTo(always, &all, s)
	return strings.Split(strings.TrimRight(all.String(), "\n"), "\n"), err
}

// It closes a connection whose query it cancels.
func (l *link) cancel(s string) ([]string, error) {
	time.AfterFunc(200*time.Millisecond, func() { l.c.PgConn().CancelRequest(always) })
	return rows(l.c.Query(always, s))
}

func (l *link) wait() ([]string, error) {
	within, done := context.WithTimeout(always, 10*time.Second)
	defer done()
	n, err := l.c.WaitForNotification(within)
	if err != nil {
		return nil, err
	}
	return []string{n.Channel + " " + n.Payload}, nil
}

// A large object, its own COPY in binary, transactions in transactions.
func (l *link) extra() ([]string, error) {
	out := []string{}
	if _, err := l.c.Exec(always, "CREATE TEMP TABLE own (i int8, t text)"); err != nil {
		return nil, err
	}
	n, err := l.c.CopyFrom(always, pgx.Identifier{"own"}, []string{"i", "t"},
		pgx.CopyFromRows([][]interface{}{{int64(1), "one"}, {int64(2), nil}}))
	if err != nil {
		return nil, err
	}
	out = append(out, fmt.Sprint(n))
	err = l.c.BeginFunc(always, func(tx pgx.Tx) error {
		tx.BeginFunc(always, func(inner pgx.Tx) error {
			inner.Exec(always, "INSERT INTO own VALUES (3, 'three')")
			return errors.New("back")
		})
		_, err := tx.Exec(always, "INSERT INTO own VALUES ($1, $2)", 4, "four")
		return err
	})
	if err != nil {
		return out, err
	}
	more, err := rows(l.c.Query(always, "SELECT * FROM own ORDER BY i"))
	if err != nil {
		return out, err
	}
	_, err = l.c.Exec(always, "DISCARD TEMP")
	return append(out, more...), err
}

func (l *link) lob() ([]string, error) {
	tx, err := l.c.Begin(always)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(always)
	all := tx.LargeObjects()
	id, err := all.Create(always, 0)
	if err != nil {
		return nil, err
	}
	large, err := all.Open(always, id, pgx.LargeObjectModeRead|pgx.LargeObjectModeWrite)
	if err != nil {
		return nil, err
	}
	if _, err := large.Write(bytes.Repeat([]byte("abc"), 50000)); err != nil {
		return nil, err
	}
	large.Seek(3, 0)
	got := make([]byte, 149000)
	n, err := large.Read(got)
	if err != nil {
		return nil, err
	}
	return []string{fmt.Sprint(n, " ", string(got[:6]))}, all.Unlink(always, id)
}

func (l *link) do(op string, w []string) ([]string, error) {
	switch op {
	case "close":
		return nil, l.c.Close(always)
	case "exec":
		return rows(l.c.Query(always, w[0], pgx.QuerySimpleProtocol(true)))
	case "bind":
		return rows(l.c.Query(always, placed(w[0]), values(w[1:])...))
	case "prep":
		return l.prep(w[0], w[1:])
	case "begin":
		tx, err := l.c.Begin(always)
		l.tx = tx
		return nil, err
	case "commit":
		return l.end(l.tx.Commit)
	case "rollback":
		return l.end(l.tx.Rollback)
	case "batch":
		return l.batch(w[0], w[1:])
	case "copyin":
		return l.copyIn(w[0], w[1])
	case "copyout":
		return l.copyOut(w[0])
	case "cancel":
		return l.cancel(w[0])
	case "listen":
		_, err := l.c.Exec(always, "LISTEN \""+w[0]+"\"")
		return nil, err
	case "wait":
		return l.wait()
	case "dealloc":
		return nil, l.c.StatementCache().Clear(always)
	case "lob":
		return l.lob()
	case "extra":
		return l.extra()
	}
	return nil, errors.New("no order " + op)
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<24)
	for in.Scan() {
		w := strings.Split(in.Text(), "\t")
		var out []string
		var err error
		if w[0] == "open" {
			out, err = open(w[1:])
		} else {
			out, err = on[w[1]].do(w[0], w[2:])
		}
		if err != nil {
			out = append(out, said(err))
		}
		for _, line := range out {
			fmt.Println(strings.ReplaceAll(line, "\n", "\\n"))
		}
		fmt.Println(".")
	}
}

func said(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return "error " + e.Code + " " + e.Message
	}
	return "error - " + err.Error()
}
