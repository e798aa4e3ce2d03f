package orders;

import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.sql.SQLException;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;

/** The HTTP side: what is asked by which path, and which status says what. */
final class Api {
    /** Fewer than there are threads: writers that wait for a primary must leave some for /health and reads. */
    static final int WRITERS = 32;

    private static final int BODY_LIMIT = 64 * 1024;

    private record Answer(int status, String body) {}

    private final Build build;
    private final Config config;
    private final String key;
    private final Store store;
    private final Health health;
    private final Semaphore writers = new Semaphore(WRITERS);
    private final AtomicInteger inFlight = new AtomicInteger();

    Api(Build build, Config config, String key, Store store) {
        this.build = build;
        this.config = config;
        this.key = key;
        this.store = store;
        this.health = new Health(store);
    }

    /** Requests that have begun and not yet been answered. */
    int inFlight() {
        return inFlight.get();
    }

    void handle(HttpExchange exchange) throws IOException {
        inFlight.incrementAndGet();
        try (exchange) {
            Answer answer = answer(exchange);
            byte[] body = answer.body().getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(answer.status(), body.length);
            try (OutputStream out = exchange.getResponseBody()) {
                out.write(body);
            }
        } finally {
            inFlight.decrementAndGet();
        }
    }

    private Answer answer(HttpExchange exchange) throws IOException {
        String request = exchange.getRequestMethod() + " " + exchange.getRequestURI().getPath();
        try {
            if (request.equals("GET /health")) {
                return health();
            }
            if (request.equals("POST /orders")) {
                byte[] body = exchange.getRequestBody().readNBytes(BODY_LIMIT + 1);
                return body.length > BODY_LIMIT
                        ? error(413, "the body is longer than " + BODY_LIMIT + " bytes")
                        : write(() -> create(new String(body, StandardCharsets.UTF_8)));
            }
            if (request.equals("POST /probe")) {
                return write(() -> {
                    store.probe();
                    return new Answer(200, Json.object("status", "ok", "node", config.node()));
                });
            }
            if (request.startsWith("GET /orders/by-ref/")) {
                return found(store.byRef(request.substring("GET /orders/by-ref/".length())));
            }
            if (request.matches("GET /orders/[0-9]{1,18}")) {
                return found(store.byId(Long.parseLong(request.substring("GET /orders/".length()))));
            }
            return error(404, "no such resource");
        } catch (Store.Unavailable e) {
            return error(503, "the database is away: " + e.getMessage());
        } catch (SQLException e) {
            return error(500, e.getSQLState() + " " + e.getMessage());
        } catch (IllegalArgumentException e) {
            return error(400, e.getMessage());
        } catch (RuntimeException e) {
            e.printStackTrace();
            return error(500, e.toString());
        }
    }

    private Answer health() {
        Health.Finding finding = health.ask();
        boolean broken = build.fault().equals("never-healthy");
        String reason = broken ? "this version is never healthy" : finding.reason();
        String common = Json.object(
                "status", reason == null ? "ok" : "fail",
                "service", "orders-api",
                "version", build.version(),
                "node", config.node(),
                "database", finding.reason() == null ? "ok" : "fail",
                "role", finding.role() == null ? "unknown" : finding.role(),
                "key", key);
        return reason == null
                ? new Answer(200, common)
                : new Answer(503, Json.joined(common, Json.object("reason", reason)));
    }

    private interface Write {
        Answer run() throws SQLException, Store.Unavailable;
    }

    private Answer write(Write write) throws SQLException, Store.Unavailable {
        if (!writers.tryAcquire()) {
            return error(503, "more than " + WRITERS + " writes are waiting already");
        }
        try {
            return write.run();
        } finally {
            writers.release();
        }
    }

    private Answer create(String body) throws SQLException, Store.Unavailable {
        Map<String, String> fields = Json.strings(body);
        String ref = fields.get("ref");
        String item = fields.get("item");
        if (ref == null || ref.isEmpty() || item == null) {
            throw new IllegalArgumentException("expected {\"ref\":\"…\",\"item\":\"…\"}");
        }
        long id = store.insert(ref, item);
        return new Answer(201, Json.object("id", id, "ref", ref, "node", config.node()));
    }

    private Answer found(Store.Order order) {
        if (order == null) {
            return error(404, "no such order here");
        }
        String common = Json.object(
                "id", order.id(),
                "ref", order.ref(),
                "item", order.item(),
                "node", order.node(),
                "created_at", order.createdAt(),
                "processed_at", order.processedAt());
        return new Answer(200, build.noteColumn() != null
                ? Json.joined(common, Json.object("note", order.note()))
                : common);
    }

    private static Answer error(int status, String message) {
        return new Answer(status, Json.object("error", message));
    }
}
