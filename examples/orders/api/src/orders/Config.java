package orders;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/** The file orders.conf: {@code key=value} lines for API and worker. Keys this program does not know are the worker's. */
record Config(
        String node,
        List<String> dbHosts,
        String dbLocal,
        String dbName,
        String dbUser,
        String dbPassword,
        int apiPort,
        Path keyFile,
        int writePatienceMillis,
        int readPatienceMillis) {

    static Config read(Path path) throws IOException {
        Map<String, String> values = new HashMap<>();
        for (String line : Files.readAllLines(path)) {
            String text = line.strip();
            int equals = text.indexOf('=');
            if (text.startsWith("#") || equals < 0) {
                continue;
            }
            values.put(text.substring(0, equals).strip(), text.substring(equals + 1).strip());
        }
        return new Config(
                require(values, "node", path),
                Arrays.stream(require(values, "db_hosts", path).split(",")).map(String::strip).toList(),
                require(values, "db_local", path),
                require(values, "db_name", path),
                require(values, "db_user", path),
                require(values, "db_password", path),
                Integer.parseInt(values.getOrDefault("api_port", "8080")),
                Path.of(values.getOrDefault("key_file", "/etc/orders/root.key")),
                Integer.parseInt(values.getOrDefault("write_patience_ms", "1500")),
                Integer.parseInt(values.getOrDefault("read_patience_ms", "500")));
    }

    /** A name for the root key that gives nothing of it away. */
    String keyFingerprint() throws IOException {
        byte[] key = Files.readAllBytes(keyFile);
        if (key.length == 0) {
            throw new IOException("the root key file " + keyFile + " is empty");
        }
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(key);
            return HexFormat.of().formatHex(digest).substring(0, 16);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String require(Map<String, String> values, String key, Path path) throws IOException {
        String value = values.get(key);
        if (value == null || value.isEmpty()) {
            throw new IOException(path + " does not set `" + key + "`");
        }
        return value;
    }
}
