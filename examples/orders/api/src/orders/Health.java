package orders;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Whether the local database answers, and in which role.
 *
 * <p>At most one question is under way, on a connection of its own; those who ask meanwhile share its answer. So a
 * database that hangs costs one thread, and nobody waits longer than {@link #PATIENCE_MILLIS}.
 */
final class Health {
    /** What was found: a role, or a reason why there is none. */
    record Finding(String role, String reason) {}

    private static final long PATIENCE_MILLIS = 800;

    private final Store store;
    private CompletableFuture<Finding> underWay;
    private Connection connection;

    Health(Store store) {
        this.store = store;
    }

    Finding ask() {
        CompletableFuture<Finding> answer;
        synchronized (this) {
            if (underWay == null || underWay.isDone()) {
                CompletableFuture<Finding> question = new CompletableFuture<>();
                Thread thread = new Thread(() -> question.complete(find()), "health");
                thread.setDaemon(true);
                thread.start();
                underWay = question;
            }
            answer = underWay;
        }
        try {
            return answer.get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            return new Finding(null, "the local database did not answer within " + PATIENCE_MILLIS + " ms");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return new Finding(null, "stopping");
        } catch (ExecutionException e) {
            return new Finding(null, e.getMessage());
        }
    }

    // Only one thread is ever in here: `underWay` sees to it.
    private Finding find() {
        boolean reused = connection != null;
        try {
            return query();
        } catch (SQLException e) {
            forget();
            if (!reused) {
                return new Finding(null, String.valueOf(e.getMessage()));
            }
        } catch (RuntimeException e) {
            forget();
            return new Finding(null, e.toString());
        }
        // The connection was an old one: the server may have been restarted since, which is no fault of today's.
        try {
            return query();
        } catch (SQLException | RuntimeException e) {
            forget();
            return new Finding(null, String.valueOf(e.getMessage()));
        }
    }

    private Finding query() throws SQLException {
        if (connection == null) {
            connection = store.connectLocal(2);
        }
        try (Statement statement = connection.createStatement();
                ResultSet row = statement.executeQuery("SELECT pg_is_in_recovery()")) {
            row.next();
            return new Finding(row.getBoolean(1) ? "standby" : "primary", null);
        }
    }

    private void forget() {
        if (connection != null) {
            try {
                connection.abort(Runnable::run);
            } catch (SQLException e) {
                // It is of no more use either way.
            }
            connection = null;
        }
    }
}
