// Speaks for Apache's library for Go, as peers/__init__.py says.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"matrix"
)

const patience = 10 * time.Second
const text = "grüße, 世界 🙂"

var background = context.Background()

func allBytes() []byte {
	all := make([]byte, 256)
	for index := range all {
		all[index] = byte(index)
	}
	return all
}

func sample() *matrix.Everything {
	points := []*matrix.Point{}
	for number := int32(0); number < 20; number++ {
		points = append(points, &matrix.Point{X: number, Y: -number})
	}
	return &matrix.Everything{
		Yes: true, No: false, Tiny: -128, Small: -32768, Medium: math.MaxInt32, Large: math.MinInt64, Ratio: 0.1,
		Text: text, Raw: allBytes(), Colour: matrix.Colour_BLUE, Point: &matrix.Point{X: 1, Y: -1}, Points: points,
		Numbers: []int32{1, -1, 1000},
		Table:   map[string][]int64{"one": {1}, "none": {}, text: {1 << 40, -1}},
		Nested:  map[int16]map[int32]*matrix.Point{-5: {70000: {X: 1, Y: 2}}, 5: {}},
		Bits:    []bool{true, false, true},
	}
}

// Sets are lists here, in any order.
func sorted(value *matrix.Everything) *matrix.Everything {
	copied := *value
	copied.Numbers = append([]int32{}, value.Numbers...)
	sort.Slice(copied.Numbers, func(i, j int) bool { return copied.Numbers[i] < copied.Numbers[j] })
	return &copied
}

func sameEverything(one, other *matrix.Everything) bool {
	return reflect.DeepEqual(sorted(one), sorted(other))
}

func sameNames(one, other []string) bool {
	one, other = append([]string{}, one...), append([]string{}, other...)
	sort.Strings(one)
	sort.Strings(other)
	return reflect.DeepEqual(one, other)
}

func missing() *matrix.Missing {
	return &matrix.Missing{Item: "it", Place: &matrix.Point{X: 3, Y: 4}}
}

type transports struct{ dialect string }

func (t transports) GetTransport(socket thrift.TTransport) (thrift.TTransport, error) {
	switch {
	case strings.HasPrefix(t.dialect, "theader"):
		return socket, nil
	case strings.HasPrefix(t.dialect, "zlib"):
		deflated, err := thrift.NewTZlibTransport(socket, 6)
		return thrift.NewTBufferedTransport(deflated, 4096), err
	case strings.HasPrefix(t.dialect, "framed"):
		return thrift.NewTFramedTransportConf(socket, nil), nil
	}
	return thrift.NewTBufferedTransport(socket, 4096), nil
}

func configuration(dialect string) *thrift.TConfiguration {
	config := &thrift.TConfiguration{ConnectTimeout: patience, SocketTimeout: patience}
	if dialect == "theader-compact" {
		config.THeaderProtocolID = thrift.THeaderProtocolIDPtrMust(thrift.THeaderProtocolCompact)
	}
	if strings.HasSuffix(dialect, "old") {
		config.TBinaryStrictRead, config.TBinaryStrictWrite = thrift.BoolPtr(false), thrift.BoolPtr(false)
	}
	return config
}

func protocols(dialect string) thrift.TProtocolFactory {
	config := configuration(dialect)
	switch {
	case strings.HasPrefix(dialect, "theader"):
		return thrift.NewTHeaderProtocolFactoryConf(config)
	case strings.HasSuffix(dialect, "compact"):
		return thrift.NewTCompactProtocolFactoryConf(config)
	}
	return thrift.NewTBinaryProtocolFactoryConf(config)
}

type asking struct {
	dialect, name, wrong string
	client               *matrix.LaterClient
	broken               error
}

// Prints a case when the next one begins, so that all of its parts have been made.
func (a *asking) part(name string, err error, right bool) {
	if a.broken != nil {
		return
	}
	if name != a.name {
		a.finish()
	}
	a.name = name
	if err != nil {
		a.wrong = err.Error()
		if _, ok := err.(thrift.TTransportException); ok {
			a.broken = err
		}
	} else if !right {
		a.wrong = "another outcome came"
	}
}

func (a *asking) finish() {
	if a.name != "" {
		told := a.wrong
		if told == "" {
			told = "ok"
		}
		fmt.Printf("%s\t%s\t%s\n", a.dialect, a.name, told)
	}
	a.name, a.wrong = "", ""
}

func kind(err error) int32 {
	if failure, ok := err.(thrift.TApplicationException); ok {
		return failure.TypeId()
	}
	return -1
}

func (a *asking) scalars() {
	c := a.client
	a.part("void", c.Nothing(background), true)
	for _, value := range []bool{true, false} {
		came, err := c.Flag(background, value)
		a.part("bool", err, came == value)
	}
	for _, value := range []int8{-128, 127, 0} {
		came, err := c.Tiny(background, value)
		a.part("i8", err, came == value)
	}
	for _, value := range []int16{math.MinInt16, math.MaxInt16} {
		came, err := c.Small(background, value)
		a.part("i16", err, came == value)
	}
	for _, value := range []int32{math.MinInt32, math.MaxInt32} {
		came, err := c.Medium(background, value)
		a.part("i32", err, came == value)
	}
	for _, value := range []int64{math.MinInt64, math.MaxInt64, 1<<53 + 1} {
		came, err := c.Large(background, value)
		a.part("i64", err, came == value)
	}
	for _, value := range []float64{0.1, -1.5e300, 5e-324, math.Inf(1)} {
		came, err := c.Ratio(background, value)
		a.part("double", err, came == value)
	}
	a.texts("text", "", text)
	numbers := make([]string, 17000)
	for index := range numbers {
		numbers[index] = strconv.Itoa(index)
	}
	a.texts("long text", strings.Join(numbers, " "))
	for _, value := range [][]byte{{}, allBytes()} {
		came, err := c.Raw(background, value)
		a.part("binary", err, bytes.Equal(came, value))
	}
	for _, value := range []matrix.Colour{matrix.Colour_RED, matrix.Colour_BLUE} {
		came, err := c.Colour(background, value)
		a.part("enum", err, came == value)
	}
}

func (a *asking) texts(name string, values ...string) {
	for _, value := range values {
		came, err := a.client.Text(background, value)
		a.part(name, err, came == value)
	}
}

func (a *asking) containers() {
	c := a.client
	everything, err := c.Everything(background, sample())
	a.part("struct", err, err == nil && sameEverything(everything, sample()))
	far, no, empty := int32(7), false, ""
	for _, value := range []*matrix.Sparse{{Far: &far}, {Yes: &no, Text: &empty, Numbers: []int64{}}} {
		came, err := c.Sparse(background, value)
		a.part("optional fields", err, reflect.DeepEqual(came, value))
	}
	many := make([]int32, 10000)
	for index := range many {
		many[index] = int32(index)
	}
	for index, value := range [][]int32{{}, {1, -1, math.MaxInt32}, many} {
		came, err := c.Numbers(background, value)
		a.part([]string{"list", "list", "long list"}[index], err, reflect.DeepEqual(came, value))
	}
	for _, value := range [][]string{{}, {"a", "b", text}} {
		came, err := c.Names(background, value)
		a.part("set", err, sameNames(came, value))
	}
	long := map[string]int32{}
	for number := int32(0); number < 1000; number++ {
		long[strconv.Itoa(int(number))] = number
	}
	for index, value := range []map[string]int32{{}, {"": 0, text: -1}, long} {
		came, err := c.Table(background, value)
		a.part([]string{"map", "map", "long map"}[index], err, reflect.DeepEqual(came, value))
	}
	for _, value := range [][][][]int32{{}, {{}, {{}}, {{1}, {2, 3}}}} {
		came, err := c.Nested(background, value)
		a.part("nested", err, reflect.DeepEqual(came, value))
	}
}

func (a *asking) ways() {
	c := a.client
	everything, err := c.Sample(background)
	a.part("their sample", err, err == nil && sameEverything(everything, sample()))
	checked, err := c.Check(background, sample())
	a.part("our sample", err, checked)
	several, err := c.Several(background, 1, "two", []int32{0, 0, 0})
	a.part("several arguments", err, several == "1 two 3")
	refused := &matrix.Refused{Code: 7, Why: text}
	a.part("declared", nil, reflect.DeepEqual(c.Refuse(background, "refused"), error(refused)))
	a.part("second declared", nil, reflect.DeepEqual(c.Refuse(background, "missing"), error(missing())))
	_, err = c.Lookup(background, -1)
	a.part("declared or a value", nil, reflect.DeepEqual(err, error(missing())))
	found, err := c.Lookup(background, 21)
	a.part("declared or a value", err, found == 42)
	a.part("undeclared", nil, kind(c.Refuse(background, "otherwise")) == thrift.INTERNAL_ERROR)
	a.texts("after undeclared", "a")
	_, err = c.Added(background)
	a.part("unknown", nil, kind(err) == thrift.UNKNOWN_METHOD)
	a.texts("after unknown", "b")
	a.part("oneway", c.Note(background, "noted"), true)
	noted, err := c.Noted(background)
	a.part("after oneway", err, reflect.DeepEqual(noted, []string{"noted"}))
	inherited, err := c.Inherited(background, "c")
	a.part("inherited", err, inherited == "c")
}

func ask(dialect string, port string) error {
	socket := thrift.NewTSocketConf(net.JoinHostPort("127.0.0.1", port), configuration(dialect))
	if err := socket.Open(); err != nil {
		return err
	}
	defer socket.Close()
	transport, err := transports{dialect}.GetTransport(socket)
	if err != nil {
		return err
	}
	protocol := protocols(dialect).GetProtocol(transport)
	if dialect == "theader-zlib" {
		if err := protocol.(*thrift.THeaderProtocol).AddTransform(thrift.TransformZlib); err != nil {
			return err
		}
	}
	out := protocol
	if strings.HasSuffix(dialect, "multiplexed") {
		out = thrift.NewTMultiplexedProtocol(protocol, "Matrix")
	}
	all := &asking{dialect: dialect, client: matrix.NewLaterClient(thrift.NewTStandardClient(protocol, out))}
	all.scalars()
	all.containers()
	all.ways()
	all.finish()
	return all.broken
}

type handler struct {
	lock  sync.Mutex
	notes []string
}

func (*handler) Inherited(_ context.Context, value string) (string, error) { return value, nil }
func (*handler) Nothing(context.Context) error                             { return nil }
func (*handler) Flag(_ context.Context, value bool) (bool, error)          { return value, nil }
func (*handler) Tiny(_ context.Context, value int8) (int8, error)          { return value, nil }
func (*handler) Small(_ context.Context, value int16) (int16, error)       { return value, nil }
func (*handler) Medium(_ context.Context, value int32) (int32, error)      { return value, nil }
func (*handler) Large(_ context.Context, value int64) (int64, error)       { return value, nil }
func (*handler) Ratio(_ context.Context, value float64) (float64, error)   { return value, nil }
func (*handler) Text(_ context.Context, value string) (string, error)      { return value, nil }
func (*handler) Raw(_ context.Context, value []byte) ([]byte, error)       { return value, nil }
func (*handler) Colour(_ context.Context, value matrix.Colour) (matrix.Colour, error) {
	return value, nil
}
func (*handler) Sparse(_ context.Context, value *matrix.Sparse) (*matrix.Sparse, error) {
	return value, nil
}
func (*handler) Numbers(_ context.Context, value []int32) ([]int32, error) { return value, nil }
func (*handler) Names(_ context.Context, value []string) ([]string, error) { return value, nil }
func (*handler) Table(_ context.Context, value map[string]int32) (map[string]int32, error) {
	return value, nil
}
func (*handler) Nested(_ context.Context, value [][][]int32) ([][][]int32, error) { return value, nil }
func (*handler) Everything(_ context.Context, value *matrix.Everything) (*matrix.Everything, error) {
	return value, nil
}
func (*handler) Sample(context.Context) (*matrix.Everything, error) { return sample(), nil }
func (*handler) Check(_ context.Context, value *matrix.Everything) (bool, error) {
	return sameEverything(value, sample()), nil
}

func (*handler) Several(_ context.Context, first int32, second string, third []int32) (string, error) {
	return fmt.Sprintf("%d %s %d", first, second, len(third)), nil
}

func (*handler) Refuse(_ context.Context, how string) error {
	switch how {
	case "refused":
		return &matrix.Refused{Code: 7, Why: text}
	case "missing":
		return missing()
	}
	return fmt.Errorf("a secret detail")
}

func (*handler) Lookup(_ context.Context, key int32) (int32, error) {
	if key < 0 {
		return 0, missing()
	}
	return 2 * key, nil
}

func (h *handler) Note(_ context.Context, value string) error {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.notes = append(h.notes, value)
	return nil
}

func (h *handler) Noted(context.Context) ([]string, error) {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.notes, nil
}

func serve(dialect string) error {
	place, err := thrift.NewTServerSocket("127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := place.Listen(); err != nil {
		return err
	}
	var processor thrift.TProcessor = matrix.NewMatrixProcessor(&handler{})
	if strings.HasSuffix(dialect, "multiplexed") {
		byName := thrift.NewTMultiplexedProcessor()
		byName.RegisterProcessor("Matrix", processor)
		processor = byName
	}
	go thrift.NewTSimpleServer4(processor, place, transports{dialect}, protocols(dialect)).Serve()
	_, port, err := net.SplitHostPort(place.Addr().String())
	fmt.Printf("%s\t%s\n", dialect, port)
	return err
}

func main() {
	log.SetOutput(io.Discard)
	for _, word := range os.Args[2:] {
		if os.Args[1] == "client" {
			dialect, port, _ := strings.Cut(word, "=")
			if err := ask(dialect, port); err != nil {
				fmt.Printf("%s\tconnection\t%v\n", dialect, err)
			}
		} else if err := serve(word); err != nil {
			fmt.Fprintln(os.Stderr, word, err)
			os.Exit(1)
		}
	}
	if os.Args[1] == "server" {
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
	}
}
