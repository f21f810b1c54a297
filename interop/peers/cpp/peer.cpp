// Speaks for Apache's library for C++, as peers/__init__.py says.
#include <cstdlib>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include <thrift/TApplicationException.h>
#include <thrift/TOutput.h>
#include <thrift/processor/TMultiplexedProcessor.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/protocol/TCompactProtocol.h>
#include <thrift/protocol/THeaderProtocol.h>
#include <thrift/protocol/TMultiplexedProtocol.h>
#include <thrift/server/TThreadedServer.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TServerSocket.h>
#include <thrift/transport/TSocket.h>
#include <thrift/transport/TZlibTransport.h>

#include "gen-cpp/Matrix.h"
#include "gen-cpp/Later.h"

using namespace apache::thrift;
using namespace apache::thrift::protocol;
using namespace apache::thrift::transport;
using std::make_shared;
using std::shared_ptr;
using std::string;
using std::vector;
using namespace matrix;

static const int SECONDS = 10;
static const string TEXT = "grüße, 世界 🙂";

static bool starts(const string& text, const string& with) { return text.rfind(with, 0) == 0; }
static bool ends(const string& text, const string& with) {
  return text.size() >= with.size() && text.compare(text.size() - with.size(), with.size(), with) == 0;
}

static string bytes() {
  string all;
  for (int one = 0; one < 256; ++one) all.push_back(static_cast<char>(one));
  return all;
}

static Point point(int32_t x, int32_t y) {
  Point made;
  made.__set_x(x);
  made.__set_y(y);
  return made;
}

static Everything sample() {
  Everything made;
  made.__set_yes(true);
  made.__set_no(false);
  made.__set_tiny(-128);
  made.__set_small(-32768);
  made.__set_medium(std::numeric_limits<int32_t>::max());
  made.__set_large(std::numeric_limits<int64_t>::min());
  made.__set_ratio(0.1);
  made.__set_text(TEXT);
  made.__set_raw(bytes());
  made.__set_colour(Colour::BLUE);
  made.__set_point(point(1, -1));
  vector<Point> points;
  for (int32_t number = 0; number < 20; ++number) points.push_back(point(number, -number));
  made.__set_points(points);
  made.__set_numbers({1, -1, 1000});
  made.__set_table({{"one", {1}}, {"none", {}}, {TEXT, {int64_t(1) << 40, -1}}});
  made.__set_nested({{-5, {{70000, point(1, 2)}}}, {5, {}}});
  made.__set_bits({true, false, true});
  return made;
}

static Missing missing() {
  Missing error;
  error.__set_item("it");
  error.__set_place(point(3, 4));
  return error;
}

// One library call's transport and protocol, for a client or for one side of a server's connection.
static shared_ptr<TTransport> wrapped(const string& dialect, shared_ptr<TTransport> socket) {
  if (starts(dialect, "theader")) return socket;
  if (starts(dialect, "zlib")) return make_shared<TBufferedTransport>(make_shared<TZlibTransport>(socket));
  if (starts(dialect, "framed")) return make_shared<TFramedTransport>(socket);
  return make_shared<TBufferedTransport>(socket);
}

static shared_ptr<TProtocol> spoken(const string& dialect, shared_ptr<TTransport> transport) {
  if (starts(dialect, "theader")) {
    auto protocol = make_shared<THeaderProtocol>(
        transport, uint16_t(dialect == "theader-compact" ? T_COMPACT_PROTOCOL : T_BINARY_PROTOCOL));
    auto headers = std::dynamic_pointer_cast<THeaderTransport>(protocol->getTransport());
    if (dialect == "theader-zlib") headers->setTransform(THeaderTransport::ZLIB_TRANSFORM);
    return protocol;
  }
  if (ends(dialect, "compact")) return make_shared<TCompactProtocol>(transport);
  if (ends(dialect, "old")) return make_shared<TBinaryProtocol>(transport, 0, 0, false, false);
  auto binary = make_shared<TBinaryProtocol>(transport);
  if (ends(dialect, "multiplexed")) return make_shared<TMultiplexedProtocol>(binary, "Matrix");
  return binary;
}

class Asking {
public:
  Asking(const string& dialect, int port) : dialect_(dialect) {
    auto socket = make_shared<TSocket>("127.0.0.1", port);
    socket->setConnTimeout(SECONDS * 1000);
    socket->setRecvTimeout(SECONDS * 1000);
    transport_ = wrapped(dialect, socket);
    auto protocol = spoken(dialect, transport_);
    client_ = make_shared<LaterClient>(protocol);
    socket->open();
  }

  void run() {
    part("void", [&] { client_->nothing(); return true; });
    for (bool value : {true, false}) part("bool", [&] { return client_->flag(value) == value; });
    for (int value : {-128, 127, 0}) part("i8", [&] { return client_->tiny(int8_t(value)) == value; });
    for (int value : {-32768, 32767}) part("i16", [&] { return client_->small(int16_t(value)) == value; });
    typedef std::numeric_limits<int32_t> i32;
    typedef std::numeric_limits<int64_t> i64;
    for (int32_t value : {i32::min(), i32::max()}) part("i32", [&] { return client_->medium(value) == value; });
    for (int64_t value : {i64::min(), i64::max(), (int64_t(1) << 53) + 1})
      part("i64", [&] { return client_->large(value) == value; });
    for (double value : {0.1, -1.5e300, 5e-324, std::numeric_limits<double>::infinity()})
      part("double", [&] { return client_->ratio(value) == value; });
    echo<string>("text", {"", TEXT}, &LaterClient::text);
    std::ostringstream text;
    for (int number = 0; number < 17000; ++number) text << (number ? " " : "") << number;
    echo<string>("long text", {text.str()}, &LaterClient::text);
    echo<string>("binary", {"", bytes()}, &LaterClient::raw);
    for (Colour::type value : {Colour::RED, Colour::BLUE}) part("enum", [&] { return client_->colour(value) == value; });
    echo<Everything>("struct", {sample()}, &LaterClient::everything);
    Sparse far, some;
    far.__set_far(7);
    some.__set_yes(false);
    some.__set_text("");
    some.__set_numbers({});
    echo<Sparse>("optional fields", {far, some}, &LaterClient::sparse);
    vector<int32_t> many;
    for (int32_t number = 0; number < 10000; ++number) many.push_back(number);
    echo<vector<int32_t>>("list", {{}, {1, -1, i32::max()}}, &LaterClient::numbers);
    echo<vector<int32_t>>("long list", {many}, &LaterClient::numbers);
    echo<std::set<string>>("set", {{}, {"a", "b", TEXT}}, &LaterClient::names);
    std::map<string, int32_t> table;
    for (int32_t number = 0; number < 1000; ++number) table[std::to_string(number)] = number;
    echo<std::map<string, int32_t>>("map", {{}, {{"", 0}, {TEXT, -1}}}, &LaterClient::table);
    echo<std::map<string, int32_t>>("long map", {table}, &LaterClient::table);
    typedef vector<vector<vector<int32_t>>> Nested;
    echo<Nested>("nested", {Nested(), Nested{{}, {{}}, {{1}, {2, 3}}}}, &LaterClient::nested);
    part("their sample", [&] { Everything came; client_->sample(came); return came == sample(); });
    part("our sample", [&] { return client_->check(sample()); });
    part("several arguments", [&] { string came; client_->several(came, 1, "two", {0, 0, 0}); return came == "1 two 3"; });
    fails();
    echo<string>("after unknown", {"b"}, &LaterClient::text);
    part("oneway", [&] { client_->note("noted"); return true; });
    part("after oneway", [&] { vector<string> came; client_->noted(came); return came == vector<string>{"noted"}; });
    echo<string>("inherited", {"c"}, &LaterClient::inherited);
  }

private:
  void fails() {
    part("declared", [&] {
      try { client_->refuse("refused"); } catch (const Refused& error) { return error.code == 7 && error.why == TEXT; }
      return false;
    });
    part("second declared", [&] {
      try { client_->refuse("missing"); } catch (const Missing& error) { return error == missing(); }
      return false;
    });
    part("declared or a value", [&] {
      try { client_->lookup(-1); } catch (const Missing& error) { return error == missing(); }
      return false;
    });
    part("declared or a value", [&] { return client_->lookup(21) == 42; });
    part("undeclared", [&] { return kind([&] { client_->refuse("otherwise"); }) == 6; });
    echo<string>("after undeclared", {"a"}, &LaterClient::text);
    part("unknown", [&] { return kind([&] { string came; client_->added(came); }) == 1; });
  }

  int kind(std::function<void()> call) {
    try { call(); } catch (const TApplicationException& error) { return error.getType(); }
    return -1;
  }

  template <class Value, class Method>
  void echo(const string& name, const vector<Value>& values, Method method) {
    for (const Value& value : values)
      part(name, [&] { Value came; ((*client_).*method)(came, value); return came == value; });
  }

  // Prints a case when the next one begins, so that all of its parts have been made.
  void part(const string& name, std::function<bool()> call) {
    if (name != case_) finish();
    case_ = name;
    if (!call()) wrong_ = "another outcome came";
  }

public:
  void finish() {
    if (!case_.empty()) std::cout << dialect_ << '\t' << case_ << '\t' << (wrong_.empty() ? "ok" : wrong_) << std::endl;
    case_ = wrong_ = "";
  }

private:
  string dialect_, case_, wrong_;
  shared_ptr<TTransport> transport_;
  shared_ptr<LaterClient> client_;
};

class Handler : public MatrixIf {
public:
  void inherited(string& back, const string& text) override { back = text; }
  void nothing() override {}
  bool flag(const bool value) override { return value; }
  int8_t tiny(const int8_t value) override { return value; }
  int16_t small(const int16_t value) override { return value; }
  int32_t medium(const int32_t value) override { return value; }
  int64_t large(const int64_t value) override { return value; }
  double ratio(const double value) override { return value; }
  void text(string& back, const string& value) override { back = value; }
  void raw(string& back, const string& value) override { back = value; }
  Colour::type colour(const Colour::type value) override { return value; }
  void everything(Everything& back, const Everything& value) override { back = value; }
  void sparse(Sparse& back, const Sparse& value) override { back = value; }
  void sample(Everything& back) override { back = ::sample(); }
  bool check(const Everything& value) override { return value == ::sample(); }
  void numbers(vector<int32_t>& back, const vector<int32_t>& value) override { back = value; }
  void names(std::set<string>& back, const std::set<string>& value) override { back = value; }
  void table(std::map<string, int32_t>& back, const std::map<string, int32_t>& value) override { back = value; }
  void nested(vector<vector<vector<int32_t>>>& back, const vector<vector<vector<int32_t>>>& value) override { back = value; }
  void several(string& back, const int32_t first, const string& second, const vector<int32_t>& third) override {
    back = std::to_string(first) + " " + second + " " + std::to_string(third.size());
  }
  void refuse(const string& how) override {
    if (how == "refused") {
      Refused error;
      error.__set_code(7);
      error.__set_why(TEXT);
      throw error;
    }
    if (how == "missing") throw missing();
    throw std::runtime_error("a secret detail");
  }
  int32_t lookup(const int32_t key) override {
    if (key < 0) throw missing();
    return 2 * key;
  }
  void note(const string& text) override {
    std::lock_guard<std::mutex> held(lock_);
    notes_.push_back(text);
  }
  void noted(vector<string>& back) override {
    std::lock_guard<std::mutex> held(lock_);
    back = notes_;
  }

private:
  std::mutex lock_;
  vector<string> notes_;
};

class Transports : public TTransportFactory {
public:
  explicit Transports(const string& dialect) : dialect_(dialect) {}
  shared_ptr<TTransport> getTransport(shared_ptr<TTransport> socket) override { return wrapped(dialect_, socket); }

private:
  string dialect_;
};

class Protocols : public TProtocolFactory {
public:
  explicit Protocols(const string& dialect) : dialect_(dialect) {}
  shared_ptr<TProtocol> getProtocol(shared_ptr<TTransport> transport) override { return spoken(dialect_, transport); }
  shared_ptr<TProtocol> getProtocol(shared_ptr<TTransport> in, shared_ptr<TTransport>) override {
    return ends(dialect_, "multiplexed") ? make_shared<TBinaryProtocol>(in) : spoken(dialect_, in);
  }

private:
  string dialect_;
};

static void serve(const string& dialect) {
  auto place = make_shared<TServerSocket>("127.0.0.1", 0);
  auto protocols = make_shared<Protocols>(dialect);
  shared_ptr<TTransportFactory> transports = make_shared<Transports>(dialect);
  shared_ptr<TProcessor> processor = make_shared<MatrixProcessor>(make_shared<Handler>());
  if (ends(dialect, "multiplexed")) {
    auto by_name = make_shared<TMultiplexedProcessor>();
    by_name->registerProcessor("Matrix", processor);
    processor = by_name;
  }
  // No factory for the answers: one object reads and writes, as only so THeader answers in kind.
  auto server = make_shared<server::TThreadedServer>(
      processor, place, transports, transports, protocols, nullptr);
  std::thread([server] { server->serve(); }).detach();
  for (int turn = 0; turn < 1000 && place->getPort() == 0; ++turn)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::cout << dialect << '\t' << place->getPort() << std::endl;
}

static void ask(const string& dialect, int port) {
  try {
    Asking asking(dialect, port);
    asking.run();
    asking.finish();
  } catch (const std::exception& error) {
    std::cout << dialect << "\tconnection\t" << error.what() << std::endl;
  }
}

int main(int count, char** words) {
  GlobalOutput.setOutputFunction([](const char*) {});
  for (int index = 2; index < count; ++index) {
    string word = words[index];
    size_t place = word.find('=');
    if (string(words[1]) == "client") ask(word.substr(0, place), std::atoi(word.c_str() + place + 1));
    else serve(word);
  }
  if (string(words[1]) == "server") {
    std::cout << "ready" << std::endl;
    while (std::cin.get() != EOF) {}
    std::_Exit(0);
  }
  return 0;
}
