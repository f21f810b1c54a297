package org.springframework.cloud.zookeeper.discovery;

import java.util.Map;

/** What Jackson needs to know of Spring Cloud ZooKeeper's payload: its name, and three properties in this order. */
public final class ZookeeperInstance {
    public String id;
    public String name;
    public Map<String, String> metadata;
}
