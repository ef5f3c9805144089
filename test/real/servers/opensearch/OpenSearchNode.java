import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.opensearch.Version;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.Node;
import org.opensearch.plugins.PluginInfo;

/**
 * One OpenSearch node on 127.0.0.1 for tests, with the modules found on the class path.
 * Arguments: HOME [setting=value ...]. Prints "http PORT" on stdout once it listens, and stops when its standard input ends, so
 * that it never outlives the test that started it.
 */
public final class OpenSearchNode extends Node {
  private static final String[] MODULES = {
    "org.opensearch.transport.Netty4ModulePlugin",
    "org.opensearch.painless.PainlessModulePlugin",
    "org.opensearch.analysis.common.CommonAnalysisModulePlugin",
    "org.opensearch.index.reindex.ReindexModulePlugin",
    "org.opensearch.ingest.common.IngestCommonModulePlugin",
    "org.opensearch.index.mapper.MapperExtrasModulePlugin",
    "org.opensearch.geo.GeoModulePlugin",
    "org.opensearch.search.aggregations.matrix.MatrixAggregationModulePlugin",
    "org.opensearch.join.ParentJoinModulePlugin",
    "org.opensearch.script.mustache.MustacheModulePlugin",
  };

  private OpenSearchNode(Environment environment, List<PluginInfo> plugins) {
    super(environment, plugins, true);
  }

  public static void main(String[] arguments) throws Exception {
    Path home = Path.of(arguments[0]).toAbsolutePath();
    Settings.Builder settings =
        Settings.builder()
            .put("path.home", home)
            .put("path.data", home.resolve("data"))
            .put("path.logs", home.resolve("logs"))
            .put("cluster.name", "haetae-test")
            .put("node.name", "test")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", "0")
            .put("transport.port", "0")
            // A nearly full disk of the test machine must not make indices read-only.
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
    for (int at = 1; at < arguments.length; at++) {
      String[] pair = arguments[at].split("=", 2);
      settings.put(pair[0], pair[1]);
    }
    Path configuration = Files.createDirectories(home.resolve("config"));
    List<PluginInfo> plugins = new ArrayList<>();
    for (String module : MODULES) {
      plugins.add(new PluginInfo(module, "module", "NA", Version.CURRENT, "21", module, List.of(), false));
    }
    Node node = new OpenSearchNode(new Environment(settings.build(), configuration), plugins);
    node.start();
    int port = node.injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress().getPort();
    System.out.println("http " + port);
    System.out.flush();
    untilStandardInputEnds();
    node.close();
    node.awaitClose(20, TimeUnit.SECONDS);
    System.exit(0);
  }

  private static void untilStandardInputEnds() {
    try {
      while (System.in.read() >= 0) {}
    } catch (IOException gone) {
      // The starter went away: the same as the end of input.
    }
  }
}
