// Speaks for Apache's library for Java, as peers/__init__.py says.

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import matrix.Colour;
import matrix.Everything;
import matrix.Later;
import matrix.Matrix;
import matrix.Missing;
import matrix.Point;
import matrix.Refused;
import matrix.Sparse;
import org.apache.thrift.TApplicationException;
import org.apache.thrift.TException;
import org.apache.thrift.TMultiplexedProcessor;
import org.apache.thrift.TProcessor;
import org.apache.thrift.protocol.TBinaryProtocol;
import org.apache.thrift.protocol.TCompactProtocol;
import org.apache.thrift.protocol.TMultiplexedProtocol;
import org.apache.thrift.protocol.TProtocol;
import org.apache.thrift.protocol.TProtocolFactory;
import org.apache.thrift.server.TThreadPoolServer;
import org.apache.thrift.transport.TServerSocket;
import org.apache.thrift.transport.TSocket;
import org.apache.thrift.transport.TTransport;
import org.apache.thrift.transport.TTransportException;
import org.apache.thrift.transport.TTransportFactory;
import org.apache.thrift.transport.TZlibTransport;
import org.apache.thrift.transport.layered.TFramedTransport;

public final class Peer {
  private static final int MILLISECONDS = 10_000;
  private static final String TEXT = "grüße, 世界 🙂";

  private static byte[] bytes() {
    byte[] all = new byte[256];
    for (int index = 0; index < all.length; index++) all[index] = (byte) index;
    return all;
  }

  private static Everything sample() {
    Map<String, List<Long>> table = new HashMap<>();
    table.put("one", Arrays.asList(1L));
    table.put("none", new ArrayList<>());
    table.put(TEXT, Arrays.asList(1L << 40, -1L));
    Map<Short, Map<Integer, Point>> nested = new HashMap<>();
    nested.put((short) -5, new HashMap<>(Collections.singletonMap(70000, new Point(1, 2))));
    nested.put((short) 5, new HashMap<>());
    return new Everything()
        .setYes(true)
        .setNo(false)
        .setTiny((byte) -128)
        .setSmall((short) -32768)
        .setMedium(Integer.MAX_VALUE)
        .setLarge(Long.MIN_VALUE)
        .setRatio(0.1)
        .setText(TEXT)
        .setRaw(bytes())
        .setColour(Colour.BLUE)
        .setPoint(new Point(1, -1))
        .setPoints(IntStream.range(0, 20).mapToObj(number -> new Point(number, -number)).collect(Collectors.toList()))
        .setNumbers(new HashSet<>(Arrays.asList(1, -1, 1000)))
        .setTable(table)
        .setNested(nested)
        .setBits(Arrays.asList(true, false, true));
  }

  private static Missing missing() {
    return new Missing("it", new Point(3, 4));
  }

  private static TTransport wrapped(String dialect, TTransport socket) throws TTransportException {
    if (dialect.startsWith("framed")) return new TFramedTransport(socket);
    if (dialect.startsWith("zlib")) return new TZlibTransport(socket);
    return socket;
  }

  private static TProtocol spoken(String dialect, TTransport transport) {
    if (dialect.endsWith("compact")) return new TCompactProtocol(transport);
    if (dialect.endsWith("old")) return new TBinaryProtocol(transport, false, false);
    TProtocol binary = new TBinaryProtocol(transport);
    return dialect.endsWith("multiplexed") ? new TMultiplexedProtocol(binary, "Matrix") : binary;
  }

  private interface Part {
    boolean isRight() throws TException;
  }

  private interface Echo<Value> {
    Value of(Value value) throws TException;
  }

  /** Prints a case when the next one begins, so that all of its parts have been made. */
  private static final class Asking {
    private final String dialect;
    private final Later.Client client;
    private String name = "";
    private String wrong = "";

    Asking(String dialect, TTransport transport) {
      this.dialect = dialect;
      client = new Later.Client(spoken(dialect, transport));
    }

    void part(String next, Part part) throws TException {
      if (!next.equals(name)) finish();
      name = next;
      if (!part.isRight()) wrong = "another outcome came";
    }

    @SafeVarargs
    final <Value> void echo(String next, Echo<Value> method, Value... values) throws TException {
      for (Value value : values) part(next, () -> method.of(value).equals(value));
    }

    void finish() {
      if (!name.isEmpty()) System.out.println(dialect + "\t" + name + "\t" + (wrong.isEmpty() ? "ok" : wrong));
      name = wrong = "";
    }

    void values() throws TException {
      part("void", () -> {
        client.nothing();
        return true;
      });
      echo("bool", client::flag, true, false);
      echo("i8", client::tiny, (byte) -128, (byte) 127, (byte) 0);
      echo("i16", client::small, Short.MIN_VALUE, Short.MAX_VALUE);
      echo("i32", client::medium, Integer.MIN_VALUE, Integer.MAX_VALUE);
      echo("i64", client::large, Long.MIN_VALUE, Long.MAX_VALUE, (1L << 53) + 1);
      echo("double", client::ratio, 0.1, -1.5e300, 5e-324, Double.POSITIVE_INFINITY);
      echo("text", client::text, "", TEXT);
      echo("long text", client::text, IntStream.range(0, 17000).mapToObj(Integer::toString).collect(Collectors.joining(" ")));
      echo("binary", client::raw, ByteBuffer.wrap(new byte[0]), ByteBuffer.wrap(bytes()));
      echo("enum", client::colour, Colour.RED, Colour.BLUE);
      echo("struct", client::everything, sample());
      Sparse some = new Sparse().setYes(false).setText("").setNumbers(new ArrayList<>());
      echo("optional fields", client::sparse, new Sparse().setFar(7), some);
      echo("list", client::numbers, new ArrayList<>(), Arrays.asList(1, -1, Integer.MAX_VALUE));
      echo("long list", client::numbers, IntStream.range(0, 10000).boxed().collect(Collectors.toList()));
      echo("set", client::names, new HashSet<>(), new HashSet<>(Arrays.asList("a", "b", TEXT)));
      Map<String, Integer> some2 = new HashMap<>();
      some2.put("", 0);
      some2.put(TEXT, -1);
      echo("map", client::table, new HashMap<>(), some2);
      echo("long map", client::table, IntStream.range(0, 1000).boxed().collect(Collectors.toMap(Object::toString, one -> one)));
      List<List<List<Integer>>> nested = Arrays.asList(
          new ArrayList<>(),
          Collections.singletonList(new ArrayList<>()),
          Arrays.asList(Arrays.asList(1), Arrays.asList(2, 3)));
      echo("nested", client::nested, new ArrayList<>(), nested);
    }

    void ways() throws TException {
      part("their sample", () -> client.sample().equals(sample()));
      part("our sample", () -> client.check(sample()));
      part("several arguments", () -> client.several(1, "two", Arrays.asList(0, 0, 0)).equals("1 two 3"));
      part("declared", () -> raised(() -> client.refuse("refused")).equals(new Refused(7, TEXT)));
      part("second declared", () -> raised(() -> client.refuse("missing")).equals(missing()));
      part("declared or a value", () -> raised(() -> client.lookup(-1)).equals(missing()));
      part("declared or a value", () -> client.lookup(21) == 42);
      part("undeclared", () -> kind(() -> client.refuse("otherwise")) == TApplicationException.INTERNAL_ERROR);
      echo("after undeclared", client::text, "a");
      part("unknown", () -> kind(client::added) == TApplicationException.UNKNOWN_METHOD);
      echo("after unknown", client::text, "b");
      part("oneway", () -> {
        client.note("noted");
        return true;
      });
      part("after oneway", () -> client.noted().equals(Arrays.asList("noted")));
      echo("inherited", client::inherited, "c");
    }

    private interface Failing {
      void call() throws TException;
    }

    private static Exception raised(Failing failing) throws TException {
      try {
        failing.call();
      } catch (Refused | Missing error) {
        return error;
      }
      return new Exception("nothing was raised");
    }

    private static int kind(Failing failing) throws TException {
      try {
        failing.call();
      } catch (TApplicationException error) {
        return error.getType();
      }
      return -1;
    }
  }

  private static void ask(String dialect, int port) {
    try (TSocket socket = new TSocket("127.0.0.1", port, MILLISECONDS)) {
      TTransport transport = wrapped(dialect, socket);
      transport.open();
      Asking asking = new Asking(dialect, transport);
      asking.values();
      asking.ways();
      asking.finish();
    } catch (Exception error) {
      System.out.println(dialect + "\tconnection\t" + error);
    }
  }

  private static final class Handler implements Matrix.Iface {
    private final List<String> notes = Collections.synchronizedList(new ArrayList<>());

    @Override public String inherited(String text) { return text; }
    @Override public void nothing() {}
    @Override public boolean flag(boolean value) { return value; }
    @Override public byte tiny(byte value) { return value; }
    @Override public short small(short value) { return value; }
    @Override public int medium(int value) { return value; }
    @Override public long large(long value) { return value; }
    @Override public double ratio(double value) { return value; }
    @Override public String text(String value) { return value; }
    @Override public ByteBuffer raw(ByteBuffer value) { return value; }
    @Override public Colour colour(Colour value) { return value; }
    @Override public Everything everything(Everything value) { return value; }
    @Override public Sparse sparse(Sparse value) { return value; }
    @Override public Everything sample() { return Peer.sample(); }
    @Override public boolean check(Everything value) { return value.equals(Peer.sample()); }
    @Override public List<Integer> numbers(List<Integer> value) { return value; }
    @Override public Set<String> names(Set<String> value) { return value; }
    @Override public Map<String, Integer> table(Map<String, Integer> value) { return value; }
    @Override public List<List<List<Integer>>> nested(List<List<List<Integer>>> value) { return value; }
    @Override public String several(int first, String second, List<Integer> third) { return first + " " + second + " " + third.size(); }
    @Override public void note(String text) { notes.add(text); }
    @Override public List<String> noted() { return notes; }

    @Override public void refuse(String how) throws Refused, Missing {
      if (how.equals("refused")) throw new Refused(7, TEXT);
      if (how.equals("missing")) throw missing();
      throw new IllegalStateException("a secret detail");
    }

    @Override public int lookup(int key) throws Missing {
      if (key < 0) throw missing();
      return 2 * key;
    }
  }

  private static void serve(String dialect) throws Exception {
    ServerSocket place = new ServerSocket();
    place.bind(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0));
    TTransportFactory transports = new TTransportFactory() {
      @Override public TTransport getTransport(TTransport socket) throws TTransportException { return wrapped(dialect, socket); }
    };
    boolean multiplexed = dialect.endsWith("multiplexed");
    TProtocolFactory protocols = transport -> multiplexed ? new TBinaryProtocol(transport) : spoken(dialect, transport);
    TProcessor processor = new Matrix.Processor<>(new Handler());
    TMultiplexedProcessor byName = new TMultiplexedProcessor();
    byName.registerProcessor("Matrix", processor);
    TThreadPoolServer.Args how = new TThreadPoolServer.Args(new TServerSocket(place))
        .processor(multiplexed ? byName : processor)
        .transportFactory(transports)
        .protocolFactory(protocols);
    Thread thread = new Thread(new TThreadPoolServer(how)::serve);
    thread.setDaemon(true);
    thread.start();
    System.out.println(dialect + "\t" + place.getLocalPort());
  }

  public static void main(String[] words) throws Exception {
    for (String word : Arrays.copyOfRange(words, 1, words.length)) {
      if (words[0].equals("server")) {
        serve(word);
      } else {
        String[] place = word.split("=");
        ask(place[0], Integer.parseInt(place[1]));
      }
    }
    if (words[0].equals("server")) {
      System.out.println("ready");
      while (System.in.read() >= 0) {}
    }
    System.exit(0);
  }
}
