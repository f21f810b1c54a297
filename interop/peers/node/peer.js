// Speaks for Apache's library for Node, as peers/__init__.py says.
"use strict";

const { isDeepStrictEqual } = require("util");
const Int64 = require("node-int64");
const thrift = require("thrift");
const Later = require("./gen-nodejs/Later");
const Matrix = require("./gen-nodejs/Matrix");
const types = require("./gen-nodejs/matrix_types");

const SECONDS = 10;
const TEXT = "grüße, 世界 🙂";

class OldBinary extends thrift.TBinaryProtocol {
  constructor(transport) {
    super(transport, false, false);
  }
}

class CompactHeader extends thrift.THeaderProtocol {
  constructor(transport) {
    transport.setProtocolId(2); // what the peer's header says counts for what comes
    super(transport);
  }
}

const DIALECTS = {
  binary: [thrift.TBufferedTransport, thrift.TBinaryProtocol],
  compact: [thrift.TBufferedTransport, thrift.TCompactProtocol],
  framed: [thrift.TFramedTransport, thrift.TBinaryProtocol],
  "framed-compact": [thrift.TFramedTransport, thrift.TCompactProtocol],
  "binary-old": [thrift.TBufferedTransport, OldBinary],
  "framed-old": [thrift.TFramedTransport, OldBinary],
  theader: [thrift.TBufferedTransport, thrift.THeaderProtocol],
  "theader-compact": [thrift.TBufferedTransport, CompactHeader],
  multiplexed: [thrift.TBufferedTransport, thrift.TBinaryProtocol],
  "framed-multiplexed": [thrift.TFramedTransport, thrift.TBinaryProtocol],
};

function i64(octets) {
  return new Int64(Buffer.from(octets, "hex"));
}

function bytes() {
  return Buffer.from(Array.from({ length: 256 }, (_, index) => index));
}

function sample() {
  const point = (x, y) => new types.Point({ x, y });
  return new types.Everything({
    yes: true,
    no: false,
    tiny: -128,
    small: -32768,
    medium: 2 ** 31 - 1,
    large: i64("8000000000000000"),
    ratio: 0.1,
    text: TEXT,
    raw: bytes(),
    colour: types.Colour.BLUE,
    point: point(1, -1),
    points: Array.from({ length: 20 }, (_, index) => point(index, index && -index)),
    numbers: [1, -1, 1000],
    table: { one: [i64("0000000000000001")], none: [], [TEXT]: [i64("0000010000000000"), i64("ffffffffffffffff")] },
    nested: { "-5": { 70000: point(1, 2) }, 5: {} },
    bits: [true, false, true],
  });
}

// A value that can be compared: sets come as lists in any order, i64 and binary as objects.
function plain(value, name = "") {
  if (value instanceof Int64) return value.toOctetString();
  if (Buffer.isBuffer(value)) return value.toString("hex");
  if (Array.isArray(value)) {
    const all = value.map((one) => plain(one));
    return name === "numbers" || name === "names" ? all.sort() : all;
  }
  if (value instanceof Error) return { name: value.name, code: value.code, why: value.why, item: value.item, place: plain(value.place) };
  if (value === null || value === undefined) return null;
  if (typeof value === "object") return Object.fromEntries(Object.keys(value).map((key) => [key, plain(value[key], key)]));
  return value;
}

function* calls() {
  yield ["void", "nothing", [], null];
  const echoes = [
    ["bool", "flag", [true, false]],
    ["i8", "tiny", [-128, 127, 0]],
    ["i16", "small", [-(2 ** 15), 2 ** 15 - 1]],
    ["i32", "medium", [-(2 ** 31), 2 ** 31 - 1]],
    ["i64", "large", ["8000000000000000", "7fffffffffffffff", "0020000000000001"].map(i64)],
    ["double", "ratio", [0.1, -1.5e300, 5e-324, Infinity]],
    ["text", "text", ["", TEXT]],
    ["long text", "text", [Array.from({ length: 17000 }, (_, index) => index).join(" ")]],
    ["binary", "raw", [Buffer.alloc(0), bytes()]],
    ["enum", "colour", [types.Colour.RED, types.Colour.BLUE]],
    ["struct", "everything", [sample()]],
    ["optional fields", "sparse", [new types.Sparse({ far: 7 }), new types.Sparse({ yes: false, text: "", numbers: [] })]],
    ["list", "numbers", [[], [1, -1, 2 ** 31 - 1]]],
    ["long list", "numbers", [Array.from({ length: 10000 }, (_, index) => index)]],
    ["set", "names", [[], ["a", "b", TEXT]]],
    ["map", "table", [{}, { "": 0, [TEXT]: -1 }]],
    ["long map", "table", [Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`${index}`, index]))]],
    ["nested", "nested", [[], [[], [[]], [[1], [2, 3]]]]],
  ];
  for (const [name, method, values] of echoes) for (const value of values) yield [name, method, [value], value];
  const missing = { name: "Missing", item: "it", place: { x: 3, y: 4 } };
  yield ["their sample", "sample", [], sample()];
  yield ["our sample", "check", [sample()], true];
  yield ["several arguments", "several", [1, "two", [0, 0, 0]], "1 two 3"];
  yield ["declared", "refuse", ["refused"], { name: "Refused", code: 7, why: TEXT }];
  yield ["second declared", "refuse", ["missing"], missing];
  yield ["declared or a value", "lookup", [-1], missing];
  yield ["declared or a value", "lookup", [21], 42];
  yield ["undeclared", "refuse", ["otherwise"], { failure: 6 }];
  yield ["after undeclared", "text", ["a"], "a"];
  yield ["unknown", "added", [], { failure: 1 }];
  yield ["after unknown", "text", ["b"], "b"];
  yield ["oneway", "note", ["noted"], null];
  yield ["after oneway", "noted", [], ["noted"]];
  yield ["inherited", "inherited", ["c"], "c"];
}

function matches(came, expected, method) {
  if (came instanceof thrift.Thrift.TApplicationException) return isDeepStrictEqual({ failure: came.type }, expected);
  const one = plain(came, method);
  if (!(came instanceof Error)) return isDeepStrictEqual(one, plain(expected, method));
  return Object.keys(expected).every((key) => isDeepStrictEqual(one[key], expected[key]));
}

function called(client, method, values) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${method}: no answer within ${SECONDS} s`)), SECONDS * 1000);
    const done = (error, result) => {
      clearTimeout(timer);
      resolve(error || result);
    };
    client[method](...values, done);
    if (method === "note") done(null, null); // nothing ever comes of it
  });
}

async function ask(dialect, port) {
  const [transport, protocol] = DIALECTS[dialect];
  const connection = thrift.createConnection("127.0.0.1", port, { transport, protocol });
  connection.on("error", (error) => console.log(`${dialect}\tconnection\t${error}`));
  const client = dialect.endsWith("multiplexed")
    ? new thrift.Multiplexer().createClient("Matrix", Later, connection)
    : thrift.createClient(Later, connection);
  const told = new Map();
  try {
    for (const [name, method, values, expected] of calls()) {
      const came = await called(client, method, values);
      const right = matches(came, expected, method);
      if (!right || !told.has(name)) told.set(name, right ? "ok" : `${method}: ${String(came).slice(0, 200)} came`);
    }
  } catch (error) {
    told.set("connection", String(error));
  }
  connection.end();
  for (const [name, what] of told) console.log(`${dialect}\t${name}\t${what}`);
}

function handler() {
  const notes = [];
  const echo = (value, done) => done(null, value);
  const echoes = ["flag", "tiny", "small", "medium", "large", "ratio", "text", "raw", "colour", "everything", "sparse"];
  const missing = () => new types.Missing({ item: "it", place: new types.Point({ x: 3, y: 4 }) });
  return {
    ...Object.fromEntries([...echoes, "numbers", "names", "table", "nested", "inherited"].map((name) => [name, echo])),
    nothing: (done) => done(null),
    sample: (done) => done(null, sample()),
    check: (value, done) => done(null, isDeepStrictEqual(plain(value), plain(sample()))),
    several: (first, second, third, done) => done(null, `${first} ${second} ${third.length}`),
    refuse(how, done) {
      if (how === "refused") done(new types.Refused({ code: 7, why: TEXT }));
      else if (how === "missing") done(missing());
      else done(new Error("a secret detail"));
    },
    lookup: (key, done) => (key < 0 ? done(missing()) : done(null, 2 * key)),
    note(text) {
      notes.push(text);
    },
    noted: (done) => done(null, notes),
  };
}

function listen(dialect) {
  const [transport, protocol] = DIALECTS[dialect];
  const processor = new thrift.MultiplexedProcessor();
  processor.registerProcessor("Matrix", new Matrix.Processor(handler()));
  const server = dialect.endsWith("multiplexed")
    ? thrift.createMultiplexServer(processor, { transport, protocol })
    : thrift.createServer(Matrix, handler(), { transport, protocol });
  server.on("error", (error) => console.error(`${dialect}: ${error}`));
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(console.log(`${dialect}\t${server.address().port}`)));
  });
}

async function main([mode, ...rest]) {
  if (mode === "client") {
    for (const [dialect, port] of rest.map((one) => one.split("="))) await ask(dialect, Number(port));
    process.exit(0);
  }
  for (const dialect of rest) await listen(dialect);
  console.log("ready");
  process.stdin.on("end", () => process.exit(0)).resume();
}

main(process.argv.slice(2));
