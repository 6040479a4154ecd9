package rpc

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"sync"

	"github.com/chumsync/chum/wire"
)

// A Rule decides whether a peer may call a method: nil lets the call through, an error
// refuses it. An [Error] reaches the caller as it is; any other error becomes
// PermissionDenied with its text. A Rule runs before the arguments are read, on the
// handler's goroutine, and many calls ask it at the same time.
type Rule func(ctx context.Context, method string, peer *Peer) error

// Public is the Rule that lets everybody call.
func Public(context.Context, string, *Peer) error { return nil }

// A Mux holds the services of one side: methods by name. Any number of peers may share one.
// Its methods may be called at any time by anyone; a method put on it later is there for the
// calls that come later.
type Mux struct {
	rule Rule
	mu   sync.RWMutex
	m    map[string]*service
	keys keys

	docs      map[string]string // see Describe
	described *Description      // nil if it has to be made anew
	schema    string            // its hash
}

// service is one method as the serving side knows it.
type service struct {
	MethodInfo
	mode mode
	rule Rule
	keys *keys

	// run reads the arguments and runs the handler; it sets ran in between.
	run func(ctx context.Context, s *serving) error
	// result encodes what the handler gave, into b or elsewhere; in form json whatever it is, if
	// plain.
	result func(s *serving, b []byte, plain bool) (wire.Form, []byte, error)
}

// mode says which sides of a call stream: bits in the request.
type mode uint8

const (
	feeds mode = 1 // the caller streams items to the handler
	takes mode = 2 // the handler streams items to the caller
)

func (m mode) String() string {
	return [...]string{"call", "sink", "source", "duplex"}[m&3]
}

// NewMux makes an empty Mux whose methods are open to whom the rule lets through, unless a
// method has a rule of its own (see [Allow]). It panics without a rule: who may call is never
// left open by omission.
func NewMux(rule Rule) *Mux {
	if rule == nil {
		panic("rpc: NewMux needs a rule; rpc.Public lets everybody call")
	}
	m := &Mux{rule: rule, m: make(map[string]*service)}
	m.Describe(docs)
	Methods.Handle(m, func(context.Context, struct{}) (Description, error) { return m.Methods(), nil }, Pure)
	return m
}

// A HandleOption states something about a method where it is put on a Mux.
type HandleOption func(*service)

// Allow gives a method a rule of its own, in place of the Mux's. What the rule asks for may be
// named, such as "write", for those who list the methods; else they see the name of the
// function.
func Allow(rule Rule, name ...string) HandleOption {
	if rule == nil {
		panic("rpc: Allow needs a rule; rpc.Public lets everybody call")
	}
	name = append(name, ruleName(rule))
	return func(s *service) { s.rule, s.Rule = rule, name[0] }
}

// put adds a service. A bad or taken name is a mistake in the program, so it panics.
func (m *Mux) put(s *service, options []HandleOption) {
	if err := checkName(s.Name); err != nil {
		panic("rpc: " + err.Error())
	}
	s.rule, s.Rule, s.keys = m.rule, ruleName(m.rule), &m.keys
	s.Kind = s.mode.String()
	for _, o := range options {
		o(s)
	}
	if s.Keyed && s.mode != 0 {
		panic(fmt.Sprintf("rpc: method %q streams: only calls with one answer can be keyed", s.Name))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m[s.Name] != nil {
		panic(fmt.Sprintf("rpc: method %q is on the Mux already", s.Name))
	}
	m.m[s.Name] = s
	m.described = nil
}

// Kind tells how the method of a name is called: call, source, sink or duplex, or "" if there
// is none.
func (m *Mux) Kind(name string) string {
	if s := m.find([]byte(name)); s != nil {
		return s.Kind
	}
	return ""
}

func (m *Mux) find(name []byte) *service {
	if m == nil {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.m[string(name)]
}

// maxName is the longest method name in bytes.
const maxName = 128

func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("method name %.40q: it must have 1 to %d bytes", name, maxName)
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("method name %q: only letters, digits, '.', '_' and '-' may stand in it", name)
		}
	}
	return nil
}

// Func puts a plain Go function on the Mux: it may take a context.Context first, then any
// arguments, and may return a result, an error, or a result and an error. Its arguments are
// given by position, a last []byte raw. It panics if fn is not such a function.
func (m *Mux) Func(name string, fn any, options ...HandleOption) {
	f := reflect.ValueOf(fn)
	if f.Kind() != reflect.Func || f.IsNil() || f.Type().IsVariadic() {
		panic(fmt.Sprintf("rpc: Func(%q): %T is not a function with a fixed number of arguments", name, fn))
	}
	t := f.Type()
	params := make([]reflect.Type, t.NumIn())
	for i := range params {
		params[i] = t.In(i)
	}
	takesContext := len(params) > 0 && params[0] == reflect.TypeFor[context.Context]()
	if takesContext {
		params = params[1:]
	}
	results := t.NumOut()
	givesError := results > 0 && t.Out(results-1) == reflect.TypeFor[error]()
	if givesError {
		results--
	}
	if results > 1 {
		panic(fmt.Sprintf("rpc: Func(%q): %s returns more than a result and an error", name, t))
	}
	args := positional(params)
	s := &service{MethodInfo: MethodInfo{Name: name, Args: args.info(), Result: typeOf[struct{}]()}}
	if results == 1 {
		s.Result = resultOf(t.Out(0))
	}
	s.run = func(ctx context.Context, s *serving) error {
		in, err := args.decode(s)
		if err != nil {
			return notRun(InvalidArgument, err)
		}
		if takesContext {
			in = append([]reflect.Value{reflect.ValueOf(ctx)}, in...)
		}
		s.ran = true
		out := f.Call(in)
		if givesError {
			if err, _ := reflect.TypeAssert[error](out[len(out)-1]); err != nil {
				return err
			}
		}
		s.box = struct{}{}
		if results == 1 {
			s.box = out[0].Interface()
		}
		return nil
	}
	s.result = func(s *serving, b []byte, plain bool) (wire.Form, []byte, error) { return appendAny(b, s.box, plain) }
	m.put(s, options)
}

// positional is the parameter list of a plain function.
type positional []reflect.Type

func (p positional) describe() string {
	names := make([]string, len(p))
	for i, t := range p {
		names[i] = shortType(t)
	}
	return "(" + strings.Join(names, ", ") + ")"
}

func (p positional) decode(s *serving) ([]reflect.Value, error) {
	if len(p) == 1 { // as a typed method with this argument
		v := reflect.New(p[0])
		err := decodeParams(s.form, s.args, v.Interface())
		return []reflect.Value{v.Elem()}, err
	}
	var args Value
	if err := args.set(s.form, s.args); err != nil {
		return nil, err
	}
	types := p
	if args.Body != nil {
		if len(p) == 0 || p[len(p)-1] != bytesType {
			return nil, fmt.Errorf("raw bytes came with the arguments where %s was expected", p.describe())
		}
		types = p[:len(p)-1]
	}
	if len(args.JSON) > 0 && firstByte(args.JSON) != '[' {
		return nil, fmt.Errorf("arguments by name came where %s was expected: send a list", p.describe())
	}
	list, err := splitList(args.JSON)
	if err != nil {
		return nil, err
	}
	if len(list) != len(types) {
		return nil, fmt.Errorf("%d arguments came, %s was expected", len(list), p.describe())
	}
	in := make([]reflect.Value, 0, len(p)+1)
	for i, t := range types {
		v := reflect.New(t)
		if err := unmarshal(list[i], v.Interface()); err != nil {
			return nil, fmt.Errorf("argument %d: not a %s: %w", i+1, t, err)
		}
		if err := validate(v.Interface()); err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		in = append(in, v.Elem())
	}
	if args.Body != nil {
		in = append(in, reflect.ValueOf(args.Body))
	}
	return in, nil
}

// None is an empty stream, for a caller that has nothing to feed.
func None[T any]() iter.Seq2[T, error] { return func(func(T, error) bool) {} }
