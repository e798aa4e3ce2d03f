package orders;

import java.sql.Connection;
import java.sql.SQLException;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/**
 * A few connections to one place, opened when needed.
 *
 * <p>A connection that failed is never handed out again, and takes the idle ones with it: they were opened to the same
 * server, and finding out one by one costs a request each.
 */
final class Pool {
    /** Opens a connection, or says why not. */
    interface Connector {
        Connection connect() throws SQLException;
    }

    private record Idle(Connection connection, long since) {}

    private static final long TRUSTED_IDLE_NANOS = TimeUnit.SECONDS.toNanos(5);
    private static final int LIMIT = 12;

    private final Connector connector;
    private final ArrayBlockingQueue<Idle> idle = new ArrayBlockingQueue<>(LIMIT);
    private final Semaphore permits = new Semaphore(LIMIT);

    /**
     * Two at a time: while the primary is away every waiting request wants a connection at once, and that storm would
     * slow down the very promotion they are waiting for.
     */
    private final Semaphore connecting = new Semaphore(2);

    Pool(Connector connector) {
        this.connector = connector;
    }

    /** A connection that looks good; give it back with {@link #give} or {@link #discard}. */
    Connection take(long deadline) throws SQLException, InterruptedException {
        if (!permits.tryAcquire(deadline - System.nanoTime(), TimeUnit.NANOSECONDS)) {
            throw new SQLException("all " + LIMIT + " connections are busy", "08000");
        }
        boolean taken = false;
        try {
            Connection connection = idleOrNew(deadline);
            taken = true;
            return connection;
        } finally {
            if (!taken) {
                permits.release();
            }
        }
    }

    private Connection idleOrNew(long deadline) throws SQLException, InterruptedException {
        Connection connection = good();
        if (connection != null) {
            return connection;
        }
        if (!connecting.tryAcquire(deadline - System.nanoTime(), TimeUnit.NANOSECONDS)) {
            throw new SQLException("other requests are still waiting for a connection", "08001");
        }
        try {
            // Somebody may have given one back in the meantime.
            connection = good();
            return connection != null ? connection : connector.connect();
        } finally {
            connecting.release();
        }
    }

    private Connection good() {
        Idle candidate;
        while ((candidate = idle.poll()) != null) {
            // One that worked a moment ago is used unasked: asking would double the round trips of every request.
            if (System.nanoTime() - candidate.since < TRUSTED_IDLE_NANOS || answers(candidate.connection)) {
                return candidate.connection;
            }
            close(candidate.connection);
        }
        return null;
    }

    private static boolean answers(Connection connection) {
        try {
            return connection.isValid(1);
        } catch (SQLException e) {
            return false;
        }
    }

    /** Takes back a connection whose last statement worked. */
    void give(Connection connection) {
        if (!idle.offer(new Idle(connection, System.nanoTime()))) {
            close(connection);
        }
        permits.release();
    }

    /** Takes back a connection that failed or that leads to the wrong server. */
    void discard(Connection connection) {
        close(connection);
        Idle other;
        while ((other = idle.poll()) != null) {
            close(other.connection);
        }
        permits.release();
    }

    private static void close(Connection connection) {
        try {
            // Not close(): that talks to a server which may be gone.
            connection.abort(Runnable::run);
        } catch (SQLException e) {
            // It is of no more use either way.
        }
    }
}
