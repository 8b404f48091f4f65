// SPDX-License-Identifier: ISC
// pgjdbc: named statements from the fifth time on, batches, fetch sizes in transactions, metadata.
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyOut;
import org.postgresql.largeobject.*;

public class Jdbc {
    interface Order {
        List<String> run(String[] w) throws Exception;
    }

    static final Map<String, Connection> on = new HashMap<>();
    static final Map<String, PreparedStatement> kept = new HashMap<>();
    static final Map<String, Order> orders = new HashMap<>();

    static String text(Object v) throws SQLException {
        if (v instanceof byte[] bytes) return HexFormat.of().formatHex(bytes);
        if (v instanceof Array a) return Arrays.deepToString((Object[]) a.getArray());
        return String.valueOf(v);
    }

    static List<String> rows(ResultSet found) throws SQLException {
        List<String> out = new ArrayList<>();
        int n = found.getMetaData().getColumnCount();
        while (found.next()) {
            StringJoiner row = new StringJoiner("|");
            for (int i = 1; i <= n; i++) row.add(text(found.getObject(i)));
            out.add(row.toString());
        }
        return out;
    }

    static List<String> run(PreparedStatement st, String[] w, int from) throws SQLException {
        for (int i = from; i < w.length; i++) set(st, i - from + 1, w[i]);
        return st.execute() ? rows(st.getResultSet()) : List.of(String.valueOf(st.getUpdateCount()));
    }

    static void set(PreparedStatement st, int i, String word) throws SQLException {
        String rest = word.substring(2);
        switch (word.charAt(0)) {
        case 'i' -> st.setInt(i, Integer.parseInt(rest));
        case 'f' -> st.setDouble(i, Double.parseDouble(rest));
        case 't' -> st.setBoolean(i, rest.equals("true"));
        case 'b' -> st.setBytes(i, HexFormat.of().parseHex(rest));
        case 'n' -> st.setNull(i, Types.VARCHAR);
        default -> st.setString(i, rest);
        }
    }

    static String placed(String sql) {
        return sql.replace("{}", "?");
    }

    static List<String> copyOut(PGConnection c, String sql) throws SQLException {
        StringBuilder all = new StringBuilder();
        CopyOut copy = c.getCopyAPI().copyOut(sql);
        for (byte[] part; (part = copy.readFromCopy()) != null;) all.append(new String(part, StandardCharsets.UTF_8));
        return Arrays.asList(all.toString().split("\n"));
    }

    static List<String> stream(Connection c, String sql, int size) throws SQLException {
        long sum = 0;
        c.setAutoCommit(false);
        try (Statement st = c.createStatement()) {
            st.setFetchSize(size);
            for (ResultSet found = st.executeQuery(sql); found.next();)
                sum += 1 + (found.getObject(1) instanceof String s ? s.length() : found.getInt(1));
        }
        c.commit();
        c.setAutoCommit(true);
        return List.of(String.valueOf(sum));
    }

    static List<String> largeObject(Connection c) throws SQLException {
        c.setAutoCommit(false);
        LargeObjectManager all = c.unwrap(PGConnection.class).getLargeObjectAPI();
        long id = all.createLO();
        try (LargeObject large = all.open(id, LargeObjectManager.WRITE)) {
            large.write("abc".repeat(50000).getBytes());
        }
        c.commit();
        byte[] got;
        try (LargeObject large = all.open(id, LargeObjectManager.READ)) {
            large.seek(3);
            got = large.read(149000);
        }
        all.delete(id);
        c.commit();
        c.setAutoCommit(true);
        return List.of(got.length + " " + new String(got, 0, 6));
    }

    static List<String> metadata(Connection c, String schema) throws SQLException {
        DatabaseMetaData look = c.getMetaData();
        List<String> out = new ArrayList<>(rows(look.getTables(null, schema, "%", new String[] {"TABLE", "VIEW"})));
        out.addAll(rows(look.getColumns(null, schema, "%", "%")));
        for (String table : new String[] {"parent", "child"}) {
            out.addAll(rows(look.getPrimaryKeys(null, schema, table)));
            out.addAll(rows(look.getImportedKeys(null, schema, table)));
            out.addAll(rows(look.getIndexInfo(null, schema, table, false, false)));
        }
        out.addAll(rows(look.getProcedures(null, schema, "%")));
        return out;
    }

    /** Isolation, read only, schema, savepoints of its own, a batch that fails, keys that were made, and isValid. */
    static List<String> extra(Connection c) throws SQLException {
        List<String> out = new ArrayList<>();
        try (Statement st = c.createStatement()) {
            st.execute("CREATE TEMP TABLE own (i int GENERATED ALWAYS AS IDENTITY, t text UNIQUE)");
            try (PreparedStatement add = c.prepareStatement("INSERT INTO own (t) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
                for (String t : "x y z x w".split(" ")) {
                    add.setString(1, t);
                    add.addBatch();
                }
                add.executeBatch();
            } catch (BatchUpdateException e) {
                out.add(e.getSQLState() + Arrays.toString(e.getUpdateCounts()));
            }
            try (PreparedStatement add = c.prepareStatement("INSERT INTO own (t) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
                add.setString(1, "new");
                add.executeUpdate();
                out.addAll(rows(add.getGeneratedKeys()));
            }
            c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            c.setReadOnly(true);
            out.addAll(rows(st.executeQuery("SHOW transaction_isolation")));
            c.setAutoCommit(false);
            out.addAll(rows(st.executeQuery("SHOW transaction_read_only")));
            Savepoint here = c.setSavepoint();
            try {
                st.execute("INSERT INTO own (t) VALUES ('v')");
                out.add("written");
            } catch (SQLException e) {
                out.add(e.getSQLState());
                c.rollback(here);
            }
            c.rollback();
            c.setAutoCommit(true);
            c.setReadOnly(false);
            c.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
            c.setSchema("pg_catalog");
            out.add(c.getSchema() + " " + c.isValid(5));
            c.setSchema("public");
            out.addAll(rows(st.executeQuery("SELECT count(*) FROM own")));
            st.execute("DISCARD TEMP");
        }
        return out;
    }

    static List<String> cancel(Connection c, String sql) throws SQLException {
        try (Statement st = c.createStatement()) {
            Thread later = new Thread(() -> {
                try {
                    Thread.sleep(200);
                    st.cancel();
                } catch (Exception e) {
                    throw new RuntimeException(e);
                }
            });
            later.start();
            st.execute(sql);
        }
        return List.of("not cancelled");
    }

    static List<String> batch(String[] w) throws SQLException {
        try (PreparedStatement st = on.get(w[0]).prepareStatement(placed(w[1]))) {
            for (int i = 2; i < w.length; i++) {
                set(st, 1, w[i]);
                st.addBatch();
            }
            return List.of(Arrays.toString(st.executeBatch()));
        }
    }

    static List<String> notified(PGConnection c) throws SQLException {
        for (org.postgresql.PGNotification got : c.getNotifications(10000)) return List.of(got.getName() + " " + got.getParameter());
        return List.of("no notification");
    }

    static List<String> open(String[] w) throws SQLException {
        String tls = w[6].equals("-") ? "sslmode=disable" : "sslmode=verify-ca&sslrootcert=" + w[6];
        on.put(w[0], DriverManager.getConnection("jdbc:postgresql://" + w[1] + ":" + w[2] + "/" + w[5] + "?" + tls, w[3], w[4]));
        return List.of();
    }

    static List<String> close(String name) throws SQLException {
        kept.keySet().removeIf(k -> k.startsWith(name + " "));
        on.remove(name).close();
        return List.of();
    }

    static List<String> end(Connection c, boolean commit) throws SQLException {
        if (commit) c.commit();
        else c.rollback();
        c.setAutoCommit(true);
        return List.of();
    }

    static {
        orders.put("open", Jdbc::open);
        orders.put("close", w -> close(w[0]));
        orders.put("exec", w -> {
            try (Statement st = on.get(w[0]).createStatement()) {
                return st.execute(w[1]) ? rows(st.getResultSet()) : List.of(String.valueOf(st.getUpdateCount()));
            }
        });
        orders.put("bind", w -> {
            try (PreparedStatement st = on.get(w[0]).prepareStatement(placed(w[1]))) {
                return run(st, w, 2);
            }
        });
        orders.put("prep", w -> {
            String key = w[0] + " " + w[1];
            if (!kept.containsKey(key)) kept.put(key, on.get(w[0]).prepareStatement(placed(w[1])));
            return run(kept.get(key), w, 2);
        });
        orders.put("begin", w -> {
            on.get(w[0]).setAutoCommit(false);
            return List.of();
        });
        orders.put("commit", w -> end(on.get(w[0]), true));
        orders.put("rollback", w -> end(on.get(w[0]), false));
        orders.put("batch", Jdbc::batch);
        orders.put("copyin", w -> List.of(String.valueOf(on.get(w[0]).unwrap(PGConnection.class).getCopyAPI()
            .copyIn(w[1], new StringReader(w[2].replace(';', '\n') + "\n")))));
        orders.put("copyout", w -> copyOut(on.get(w[0]).unwrap(PGConnection.class), w[1]));
        orders.put("stream", w -> stream(on.get(w[0]), w[1], Integer.parseInt(w[2])));
        orders.put("cancel", w -> cancel(on.get(w[0]), w[1]));
        orders.put("listen", w -> {
            on.get(w[0]).createStatement().execute("LISTEN \"" + w[1] + "\"");
            return List.of();
        });
        orders.put("wait", w -> notified(on.get(w[0]).unwrap(PGConnection.class)));
        orders.put("dealloc", w -> {
            for (Iterator<PreparedStatement> i = kept.values().iterator(); i.hasNext(); i.remove()) i.next().close();
            return List.of();
        });
        orders.put("lob", w -> largeObject(on.get(w[0])));
        orders.put("meta", w -> metadata(on.get(w[0]), w[1]));
        orders.put("extra", w -> extra(on.get(w[0])));
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream to = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line; (line = in.readLine()) != null;) {
            String[] all = line.split("\t", -1);
            StringBuilder said = new StringBuilder();
            try {
                for (String s : orders.get(all[0]).run(Arrays.copyOfRange(all, 1, all.length))) said.append(s.replace("\n", "\\n")).append('\n');
            } catch (SQLException e) {
                String message = e.getMessage().replaceFirst("^(ERROR|FATAL): ", "").replaceFirst("(?s)\n.*", "");
                said.append("error " + e.getSQLState() + " " + message + "\n");
            } catch (Exception e) {
                said.append("error - " + e + "\n");
            }
            to.print(said + ".\n");
            to.flush();
        }
    }
}
