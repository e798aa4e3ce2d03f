package orders;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** The orders API: starts, listens, and stops on SIGTERM without dropping what has begun. */
public final class Main {
    private static final int THREADS = Api.WRITERS + 8;
    private static final int BACKLOG = 256;
    private static final int STOP_MILLIS = 2000;

    private Main() {}

    /** Runs until the process is asked to end; the one argument is the configuration file. */
    public static void main(String[] args) throws Exception {
        Build build = Build.load();
        if (build.fault().equals("crash-on-start")) {
            throw new IllegalStateException("orders-api " + build.version() + " always crashes on start");
        }
        Config config;
        String key;
        try {
            config = Config.read(Path.of(args.length > 0 ? args[0] : "/etc/orders/orders.conf"));
            key = config.keyFingerprint();
        } catch (IOException | NumberFormatException e) {
            System.err.println("orders-api " + build.version() + " refuses to start: " + e);
            System.exit(1);
            return;
        }

        int delay = Build.startDelaySeconds();
        if (delay > 0) {
            System.out.println("orders-api " + build.version() + " starts slowly: " + delay + " s");
            Thread.sleep(delay * 1000L);
        }

        // Without it the kernel holds back the second segment of every answer for 40 ms.
        System.setProperty("sun.net.httpserver.nodelay", "true");
        Store store = new Store(config, build.noteColumn());
        Api api = new Api(build, config, key, store);
        store.warmUp();

        ExecutorService threads = Executors.newFixedThreadPool(THREADS);
        HttpServer server = HttpServer.create(new InetSocketAddress(config.apiPort()), BACKLOG);
        server.setExecutor(threads);
        server.createContext("/", api::handle);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(server, api), "stop"));
        server.start();
        System.out.println(
                "orders-api " + build.version() + " on " + config.node() + " listens on port " + config.apiPort());
    }

    private static void stop(HttpServer server, Api api) {
        // stop() closes the listening socket at once, but then sits out its whole delay even when nothing is in flight.
        Thread closing = new Thread(() -> server.stop(STOP_MILLIS / 1000), "close");
        closing.setDaemon(true);
        closing.start();
        long deadline = System.nanoTime() + STOP_MILLIS * 1_000_000L;
        int quiet = 0;
        try {
            // A request that was accepted but not yet begun shows up within a moment.
            while (quiet < 5 && System.nanoTime() < deadline) {
                Thread.sleep(10);
                quiet = api.inFlight() == 0 ? quiet + 1 : 0;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
