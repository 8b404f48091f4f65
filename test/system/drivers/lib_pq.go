// SPDX-License-Identifier: ISC

// lib/pq below database/sql: unnamed statements, or numbered ones that are kept.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"
)

type link struct {
	db       *sql.DB
	tx       *sql.Tx
	kept     map[string]*sql.Stmt
	listener *pq.Listener
	dsn      string
}

type runner interface {
	Query(string, ...interface{}) (*sql.Rows, error)
	Exec(string, ...interface{}) (sql.Result, error)
	Prepare(string) (*sql.Stmt, error)
}

var on = map[string]*link{}

func (l *link) run() runner {
	if l.tx != nil {
		return l.tx
	}
	return l.db
}

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

func text(v interface{}) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case []byte:
		return string(v)
	}
	return fmt.Sprint(v)
}

func rows(found *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer found.Close()
	names, out := columns(found), []string{}
	for found.Next() {
		cells, at := make([]interface{}, len(names)), make([]interface{}, len(names))
		for i := range cells {
			at[i] = &cells[i]
		}
		if err := found.Scan(at...); err != nil {
			return nil, err
		}
		words := make([]string, len(cells))
		for i := range cells {
			words[i] = text(cells[i])
		}
		out = append(out, strings.Join(words, "|"))
	}
	return out, found.Err()
}

func columns(found *sql.Rows) []string {
	names, _ := found.Columns()
	return names
}

func open(w []string) ([]string, error) {
	tls := "sslmode=disable"
	if w[6] != "-" {
		tls = "sslmode=verify-ca sslrootcert=" + w[6]
	}
	dsn := fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s %s", w[1], w[2], w[3], w[4], w[5], tls)
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	on[w[0]] = &link{db: db, kept: map[string]*sql.Stmt{}, dsn: dsn}
	return nil, db.Ping()
}

func (l *link) prep(s string, words []string) ([]string, error) {
	if l.kept[s] == nil {
		st, err := l.run().Prepare(placed(s))
		if err != nil {
			return nil, err
		}
		l.kept[s] = st
	}
	return rows(l.kept[s].Query(values(words)...))
}

func (l *link) end(how func() error) ([]string, error) {
	l.tx = nil
	return nil, how()
}

func (l *link) copyIn(s string, data string) ([]string, error) {
	head := s[:strings.Index(s, ")")+1]
	tx, err := l.db.Begin()
	if err != nil {
		return nil, err
	}
	st, err := tx.Prepare(head + " FROM STDIN")
	if err != nil {
		tx.Rollback()
		return nil, err
	}
	for _, line := range strings.Split(data, ";") {
		cells := []interface{}{}
		for _, cell := range strings.Split(line, ",") {
			cells = append(cells, cell)
		}
		if _, err := st.Exec(cells...); err != nil {
			tx.Rollback()
			return nil, err
		}
	}
	if _, err := st.Exec(); err != nil {
		tx.Rollback()
		return nil, err
	}
	st.Close()
	return nil, tx.Commit()
}

func (l *link) wait() ([]string, error) {
	select {
	case n := <-l.listener.Notify:
		return []string{n.Channel + " " + n.Extra}, nil
	case <-time.After(10 * time.Second):
		return nil, errors.New("no notification")
	}
}

func (l *link) cancel(s string) ([]string, error) {
	within, done := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer done()
	return rows(l.db.QueryContext(within, s))
}

// Many statements of one transaction, read while others are not finished; and isolation by its options.
func (l *link) extra() ([]string, error) {
	tx, err := l.db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	out, err := rows(tx.Query("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"))
	if err != nil {
		return nil, err
	}
	more, err := rows(tx.Query("SELECT unnest($1::int[])", pq.Array([]int{1, 2, 3})))
	return append(out, more...), err
}

func (l *link) do(op string, w []string) ([]string, error) {
	switch op {
	case "close":
		if l.listener != nil {
			l.listener.Close()
		}
		return nil, l.db.Close()
	case "exec", "bind":
		return rows(l.run().Query(placed(w[0]), values(w[1:])...))
	case "prep":
		return l.prep(w[0], w[1:])
	case "begin":
		tx, err := l.db.Begin()
		l.tx = tx
		return nil, err
	case "commit":
		return l.end(l.tx.Commit)
	case "rollback":
		return l.end(l.tx.Rollback)
	case "copyin":
		return l.copyIn(w[0], w[1])
	case "cancel":
		return l.cancel(w[0])
	case "listen":
		l.listener = pq.NewListener(l.dsn, time.Second, time.Minute, nil)
		return nil, l.listener.Listen(w[0])
	case "wait":
		return l.wait()
	case "dealloc":
		for s, st := range l.kept {
			st.Close()
			delete(l.kept, s)
		}
		return nil, nil
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
	var e *pq.Error
	if errors.As(err, &e) {
		return "error " + string(e.Code) + " " + e.Message
	}
	return "error - " + err.Error()
}
