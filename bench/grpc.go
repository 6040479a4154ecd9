package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// grpc-go with three codecs, all with its defaults otherwise:
//   - protobuf, as nearly everybody uses it: BytesValue for bytes, Field for the Record;
//   - JSON by encoding/json, the codec chum has;
//   - raw: a []byte is the message, the least a codec can do.
//
// The service description is what protoc-gen-go-grpc writes; the messages are
// well-known types, so that no generated code has to lie here.
var (
	grpcProto = grpcSystem("grpc-go", nil,
		func(p []byte) *wrapperspb.BytesValue { return &wrapperspb.BytesValue{Value: p} },
		(*wrapperspb.BytesValue).GetValue,
		fieldOf, func(f *typepb.Field) { f.Number++ }, recordOf)
	grpcJSON = grpcSystem("grpc-go, JSON codec", jsonCodec{}, rawOf, rawIs,
		func(r *Record) *Record { return r },
		func(r *Record) { r.Number++ },
		func(r *Record) Record { return *r })
	grpcRaw = grpcSystem("grpc-go, raw codec", rawCodec{}, rawOf, rawIs, nil, func(*Record) {}, nil)
)

// fieldOf and recordOf make the protobuf message of a Record, and the Record again.
func fieldOf(r *Record) *typepb.Field {
	return &typepb.Field{
		Kind: typepb.Field_Kind(r.Kind), Number: r.Number, Name: r.Name,
		TypeUrl: r.TypeURL, Packed: r.Packed, JsonName: r.JSONName, DefaultValue: r.Default,
	}
}

func recordOf(f *typepb.Field) Record {
	return Record{int32(f.Kind), f.Number, f.Name, f.TypeUrl, f.Packed, f.JsonName, f.DefaultValue}
}

// grpcSystem is grpc-go with a codec (nil: protobuf), a message B for bytes and a
// message T for the Record.
func grpcSystem[B, T any](name string, codec encoding.CodecV2, wrap func([]byte) *B, unwrap func(*B) []byte,
	message func(*Record) *T, bump func(*T), value func(*T) Record,
) system {
	echo := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := new(B)
		return in, decode(in)
	}
	service := grpc.ServiceDesc{
		ServiceName: "bench.Bench", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			{MethodName: "Bytes", Handler: echo},
			{MethodName: "Sleep", Handler: func(s any, ctx context.Context, decode func(any) error, i grpc.UnaryServerInterceptor) (any, error) {
				time.Sleep(handlerSleep)
				return echo(s, ctx, decode, i)
			}},
			{MethodName: "Typed", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				in := new(T)
				err := decode(in)
				bump(in)
				return in, err
			}},
		},
		Streams: []grpc.StreamDesc{
			{StreamName: "Down", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
				in := new(B)
				if err := s.RecvMsg(in); err != nil {
					return err
				}
				return chunks(rawSize(unwrap(in)), func(p []byte) error { return s.SendMsg(wrap(p)) })
			}},
			{StreamName: "Up", ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
				got, err := grpcReceive(s, unwrap)
				if err != nil {
					return err
				}
				return s.SendMsg(wrap(rawMessage(rawUp, got)))
			}},
		},
	}
	var serverOptions []grpc.ServerOption
	dialOptions := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if codec != nil {
		serverOptions = append(serverOptions, grpc.ForceServerCodecV2(codec))
		dialOptions = append(dialOptions, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec)))
	}
	s := system{
		name: name,
		serve: func() (string, func(), error) {
			l, err := loopback()
			if err != nil {
				return "", nil, err
			}
			server := grpc.NewServer(serverOptions...)
			server.RegisterService(&service, nil)
			go func() { _ = server.Serve(l) }() // it ends with the server
			return l.Addr().String(), server.Stop, nil
		},
	}
	s.dial = func(ctx context.Context, addr string) (*client, error) {
		conn, err := grpc.NewClient("passthrough:///"+addr, dialOptions...)
		if err != nil {
			return nil, err
		}
		call := func(method string) func(context.Context, []byte) ([]byte, error) {
			return func(ctx context.Context, p []byte) ([]byte, error) {
				out := new(B)
				err := conn.Invoke(ctx, method, wrap(p), out)
				return unwrap(out), err
			}
		}
		c := &client{
			bytes: call("/bench.Bench/Bytes"),
			sleep: call("/bench.Bench/Sleep"),
			down: func(ctx context.Context, size int64) error {
				s, err := conn.NewStream(ctx, &service.Streams[0], "/bench.Bench/Down")
				if err != nil {
					return err
				}
				if err := s.SendMsg(wrap(rawMessage(rawDown, size))); err != nil {
					return err
				}
				if err := s.CloseSend(); err != nil {
					return err
				}
				got, err := grpcReceive(s, unwrap)
				if err != nil {
					return err
				}
				return arrived(got, size)
			},
			up: func(ctx context.Context, size int64) error {
				s, err := conn.NewStream(ctx, &service.Streams[1], "/bench.Bench/Up")
				if err != nil {
					return err
				}
				if err := chunks(size, func(p []byte) error { return s.SendMsg(wrap(p)) }); err != nil {
					return err
				}
				if err := s.CloseSend(); err != nil {
					return err
				}
				out := new(B)
				if err := s.RecvMsg(out); err != nil {
					return err
				}
				return arrived(rawSize(unwrap(out)), size)
			},
			close: func() { _ = conn.Close() },
		}
		if value != nil {
			var messages []*T // made before, as in all systems
			for i := range sampleRecords {
				messages = append(messages, message(&sampleRecords[i]))
			}
			c.typed = func(ctx context.Context) error {
				i, out := sample(), new(T)
				if err := conn.Invoke(ctx, "/bench.Bench/Typed", messages[i], out); err != nil {
					return err
				}
				return checkRecord(i, value(out))
			}
		}
		return c, nil
	}
	return s
}

// grpcReceive counts the bytes of a stream's messages until its end.
func grpcReceive[B any](s interface{ RecvMsg(any) error }, unwrap func(*B) []byte) (got int64, err error) {
	in := new(B)
	for {
		switch err := s.RecvMsg(in); err {
		case nil:
			got += int64(len(unwrap(in)))
		case io.EOF:
			return got, nil
		default:
			return got, err
		}
	}
}

func rawOf(p []byte) *[]byte { return new(p) }
func rawIs(p *[]byte) []byte { return *p }

// jsonCodec is encoding/json as a gRPC codec.
type jsonCodec struct{}

func (jsonCodec) Name() string { return "json" }

func (jsonCodec) Marshal(v any) (mem.BufferSlice, error) {
	p, err := json.Marshal(v)
	return mem.BufferSlice{mem.SliceBuffer(p)}, err
}

func (jsonCodec) Unmarshal(data mem.BufferSlice, v any) error {
	return json.Unmarshal(data.Materialize(), v)
}

// rawCodec sends a []byte as it is.
type rawCodec struct{}

func (rawCodec) Name() string { return "raw" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	p, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("bench: the raw codec has no %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*p)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	p, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("bench: the raw codec has no %T", v)
	}
	*p = grow(*p, data.Len())
	data.CopyTo(*p)
	return nil
}
