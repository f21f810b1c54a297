import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryOneTime;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.ServiceProvider;
import org.apache.curator.x.discovery.details.JsonInstanceSerializer;
import org.springframework.cloud.zookeeper.discovery.ZookeeperInstance;

/**
 * Curator itself, for a test: java CuratorPeer HOSTS BASE SERVICE. Each line of input is a command, and each is answered
 * by one line.
 *
 * names: the services. list NAME: the instances of one, asked of ZooKeeper. cache: those of SERVICE that a started
 * cache has. provide: one that a started provider gives. register ID PORT, update ID PORT, unregister ID: an instance of
 * SERVICE of Curator's own. again KIND BYTES: what the serializer of this kind makes of a record after reading it, both
 * in base64; plain knows no payload, modern writes enabled as well, spring has Spring's payload.
 */
public final class CuratorPeer {
    private static ServiceInstance<Void> instance(String service, String id, String port) throws Exception {
        return ServiceInstance.<Void>builder()
            .name(service).id(id).address("127.0.0.1").port(Integer.parseInt(port)).build();
    }

    private static String shown(Iterable<ServiceInstance<Void>> instances) {
        List<String> lines = new ArrayList<>();
        for (ServiceInstance<Void> one : instances) {
            lines.add(one.getName() + "/" + one.getId() + "@" + one.getAddress() + ":" + one.getPort()
                + (one.isEnabled() ? "" : " disabled"));
        }
        lines.sort(null);
        return String.join(",", lines);
    }

    public static void main(String[] args) throws Exception {
        String service = args[2];
        CuratorFramework client = CuratorFrameworkFactory.newClient(args[0], 10000, 10000, new RetryOneTime(100));
        client.start();
        ServiceDiscovery<Void> discovery = ServiceDiscoveryBuilder.builder(Void.class)
            .client(client).basePath(args[1]).build();
        discovery.start();
        ServiceCache<Void> cache = discovery.serviceCacheBuilder().name(service).build();
        cache.start();
        ServiceProvider<Void> provider = discovery.serviceProviderBuilder().serviceName(service).build();
        provider.start();
        System.out.println("ready");
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split(" ");
            try {
                System.out.println(answer(words, service, discovery, cache, provider));
            } catch (Exception error) {
                System.out.println("failed: " + error.toString().replace('\n', ' '));
            }
        }
        provider.close();
        cache.close();
        discovery.close();
        client.close();
    }

    private static byte[] again(String kind, byte[] record) throws Exception {
        if (kind.equals("spring")) {
            JsonInstanceSerializer<ZookeeperInstance> serializer = new JsonInstanceSerializer<>(ZookeeperInstance.class);
            return serializer.serialize(serializer.deserialize(record));
        }
        JsonInstanceSerializer<Void> serializer = new JsonInstanceSerializer<>(Void.class, kind.equals("plain"));
        return serializer.serialize(serializer.deserialize(record));
    }

    private static String answer(
        String[] words,
        String service,
        ServiceDiscovery<Void> discovery,
        ServiceCache<Void> cache,
        ServiceProvider<Void> provider
    ) throws Exception {
        switch (words[0]) {
            case "names":
                List<String> names = new ArrayList<>(discovery.queryForNames());
                names.sort(null);
                return String.join(",", names);
            case "list":
                return shown(discovery.queryForInstances(words[1]));
            case "cache":
                return shown(cache.getInstances());
            case "provide":
                ServiceInstance<Void> one = provider.getInstance();
                return one == null ? "" : shown(List.of(one));
            case "register":
                discovery.registerService(instance(service, words[1], words[2]));
                return "done";
            case "update":
                discovery.updateService(instance(service, words[1], words[2]));
                return "done";
            case "unregister":
                discovery.unregisterService(instance(service, words[1], "1"));
                return "done";
            case "again":
                byte[] record = Base64.getDecoder().decode(words[2]);
                return Base64.getEncoder().encodeToString(again(words[1], record));
            default:
                throw new IllegalArgumentException(words[0]);
        }
    }
}
