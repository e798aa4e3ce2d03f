package orders;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/**
 * What the packager baked into the jar: every version is built from the same sources and differs only here.
 *
 * @param version what /health reports
 * @param noteColumn the column in which this version keeps the note of an order, or null where it knows none
 * @param fault what is deliberately wrong with it: {@code none}, {@code never-healthy} or {@code crash-on-start}
 */
record Build(String version, String noteColumn, String fault) {

    static Build load() {
        Properties properties = new Properties();
        try (InputStream in = Build.class.getResourceAsStream("build.properties")) {
            if (in == null) {
                throw new IllegalStateException("orders/build.properties is missing from the jar");
            }
            properties.load(in);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return new Build(
                properties.getProperty("version", "unknown"),
                properties.getProperty("note_column"),
                properties.getProperty("fault", "none"));
    }

    /** Seconds to wait before listening: what {@code start-delay} beside the jar's directory says, if it is there. */
    static int startDelaySeconds() throws IOException {
        try {
            Path jar = Path.of(Build.class.getProtectionDomain().getCodeSource().getLocation().toURI());
            Path file = jar.resolveSibling("../start-delay").normalize();
            return Files.exists(file) ? Integer.parseInt(Files.readString(file).strip()) : 0;
        } catch (URISyntaxException e) {
            throw new IOException("the jar's own location is not a path", e);
        }
    }
}
