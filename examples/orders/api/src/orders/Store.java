package orders;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** Orders in the database: writes go to whichever server is primary now, reads to the local one in either role. */
final class Store {
    /** The database did not come back within the patience of a request. */
    static final class Unavailable extends Exception {
        private static final long serialVersionUID = 1;

        Unavailable(String message, Throwable cause) {
            super(message, cause);
        }
    }

    /** One order as it is stored. */
    record Order(long id, String ref, String item, String node, String createdAt, String processedAt, String note) {}

    private interface Action<T> {
        T run(Connection connection) throws SQLException;
    }

    private static final long PAUSE_MILLIS = 15;

    private final Config config;
    private final String noteColumn;
    private final Pool primary;
    private final Pool local;
    private final AtomicInteger firstHost = new AtomicInteger();

    /** The name of a column is part of the program, never of a request. */
    Store(Config config, String noteColumn) {
        this.config = config;
        this.noteColumn = noteColumn;
        this.primary = new Pool(this::connectPrimary);
        this.local = new Pool(() -> connectLocal(5));
    }

    private Connection connectPrimary() throws SQLException {
        // The server that was good last time is asked first: a dead one must not cost every connection its timeout.
        int count = config.dbHosts().size();
        int first = Math.floorMod(firstHost.get(), count);
        StringBuilder hosts = new StringBuilder();
        for (int i = 0; i < count; i++) {
            hosts.append(i == 0 ? "" : ",").append(config.dbHosts().get((first + i) % count));
        }
        // A server that hangs must not hold a request much longer than its patience.
        Properties properties = properties(2);
        properties.setProperty("targetServerType", "primary");
        properties.setProperty("loadBalanceHosts", "false");
        // Roles change: nothing learned about a host is believed later.
        properties.setProperty("hostRecheckSeconds", "0");
        properties.setProperty("options", "-c statement_timeout=" + config.writePatienceMillis());
        try {
            return DriverManager.getConnection("jdbc:postgresql://" + hosts + "/" + config.dbName(), properties);
        } catch (SQLException e) {
            firstHost.compareAndSet(first, first + 1);
            throw e;
        }
    }

    /** A new connection to the local server, for the caller alone. */
    Connection connectLocal(int socketTimeoutSeconds) throws SQLException {
        return DriverManager.getConnection(
                "jdbc:postgresql://" + config.dbLocal() + "/" + config.dbName(), properties(socketTimeoutSeconds));
    }

    private Properties properties(int socketTimeoutSeconds) {
        Properties properties = new Properties();
        properties.setProperty("user", config.dbUser());
        properties.setProperty("password", config.dbPassword());
        properties.setProperty("ApplicationName", "orders-api@" + config.node());
        properties.setProperty("connectTimeout", "2");
        properties.setProperty("socketTimeout", Integer.toString(socketTimeoutSeconds));
        properties.setProperty("tcpKeepAlive", "true");
        // The demo's nodes share one private network; two negotiations less per reconnection.
        properties.setProperty("sslmode", "disable");
        properties.setProperty("gssEncMode", "disable");
        return properties;
    }

    /** Opens one connection of each kind, so that the first request does not pay for loading the driver. */
    void warmUp() {
        try {
            onPrimary(connection -> null);
            byId(0);
        } catch (SQLException | Unavailable e) {
            System.out.println("orders-api: the database is not there yet: " + e.getMessage());
        }
    }

    /** Stores an order once, however often it is sent, and returns its id. */
    long insert(String ref, String item) throws SQLException, Unavailable {
        return onPrimary(connection -> {
            String sql = noteColumn != null
                    ? "INSERT INTO orders (ref, item, node, " + noteColumn + ") VALUES (?, ?, ?, ?)"
                    : "INSERT INTO orders (ref, item, node) VALUES (?, ?, ?)";
            String once = sql + " ON CONFLICT (ref) DO NOTHING RETURNING id";
            try (PreparedStatement statement = connection.prepareStatement(once)) {
                statement.setString(1, ref);
                statement.setString(2, item);
                statement.setString(3, config.node());
                if (noteColumn != null) {
                    statement.setString(4, "v2 on " + config.node());
                }
                try (ResultSet row = statement.executeQuery()) {
                    if (row.next()) {
                        return row.getLong(1);
                    }
                }
            }
            // Nothing returned: an earlier attempt, perhaps of this very request, had arrived.
            try (PreparedStatement statement = connection.prepareStatement("SELECT id FROM orders WHERE ref = ?")) {
                statement.setString(1, ref);
                try (ResultSet row = statement.executeQuery()) {
                    if (row.next()) {
                        return row.getLong(1);
                    }
                }
            }
            throw new SQLException("order " + ref + " is neither new nor there", "40001");
        });
    }

    /** Writes something that does not grow the database. */
    void probe() throws SQLException, Unavailable {
        int rows = onPrimary(connection -> {
            String sql = "UPDATE probe SET at = now() WHERE id = 1";
            try (PreparedStatement statement = connection.prepareStatement(sql)) {
                return statement.executeUpdate();
            }
        });
        if (rows != 1) {
            throw new SQLException("expected one row in table probe, found " + rows);
        }
    }

    /** The order of this id as the local server knows it, or null. */
    Order byId(long id) throws SQLException, Unavailable {
        return select("id = ?", id);
    }

    /** The order of this reference as the local server knows it, or null. */
    Order byRef(String ref) throws SQLException, Unavailable {
        return select("ref = ?", ref);
    }

    private Order select(String where, Object key) throws SQLException, Unavailable {
        String sql = "SELECT id, ref, item, node, created_at::text, processed_at::text, "
                + (noteColumn != null ? noteColumn : "NULL") + " FROM orders WHERE " + where;
        return patiently(local, config.readPatienceMillis(), connection -> {
            try (PreparedStatement statement = connection.prepareStatement(sql)) {
                statement.setObject(1, key);
                try (ResultSet row = statement.executeQuery()) {
                    return row.next()
                            ? new Order(row.getLong(1), row.getString(2), row.getString(3), row.getString(4),
                                    row.getString(5), row.getString(6), row.getString(7))
                            : null;
                }
            }
        });
    }

    private <T> T onPrimary(Action<T> action) throws SQLException, Unavailable {
        return patiently(primary, config.writePatienceMillis(), action);
    }

    /** Runs an action that may safely run twice, again and again while the failure is one that passes. */
    private static <T> T patiently(Pool pool, int patienceMillis, Action<T> action) throws SQLException, Unavailable {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(patienceMillis);
        while (true) {
            Connection connection = null;
            boolean good = false;
            try {
                connection = pool.take(deadline);
                T result = action.run(connection);
                good = true;
                return result;
            } catch (SQLException e) {
                // Without a connection there is nothing that could be wrong with the request itself.
                if (connection != null && !passes(e)) {
                    throw e;
                }
                if (deadline - System.nanoTime() < TimeUnit.MILLISECONDS.toNanos(PAUSE_MILLIS)) {
                    throw new Unavailable(e.getMessage(), e);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new Unavailable("stopping", e);
            } finally {
                if (connection != null) {
                    if (good) {
                        pool.give(connection);
                    } else {
                        pool.discard(connection);
                    }
                }
            }
            pause();
        }
    }

    private static void pause() throws Unavailable {
        try {
            Thread.sleep(PAUSE_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new Unavailable("stopping", e);
        }
    }

    private static boolean passes(SQLException e) {
        String state = e.getSQLState() == null ? "08000" : e.getSQLState();
        return state.startsWith("08") // the connection is lost
                || state.startsWith("57P") // the server is shutting down or starting
                || state.equals("57014") // our own statement_timeout: something held a lock
                || state.equals("25006") // the server has become read-only: no longer the primary
                || state.equals("40001"); // recovery on a standby, or an insert that lost a race
    }
}
