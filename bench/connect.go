package main

import (
	"context"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// connectSystem is connect-go with protobuf and its own protocol, on HTTP/2 without TLS, so
// that all calls share one connection. Gzip is off: its server zips answers of a
// hundred bytes unless told not to. The server takes as many streams as scenario
// sleep needs.
var connectSystem = system{
	name: "connect-go", also: true,
	serve: func() (string, func(), error) {
		l, err := loopback()
		if err != nil {
			return "", nil, err
		}
		plain := connect.WithCompression("gzip", nil, nil)
		mux := http.NewServeMux()
		echo := func(_ context.Context, r *connect.Request[wrapperspb.BytesValue]) (*connect.Response[wrapperspb.BytesValue], error) {
			return connect.NewResponse(r.Msg), nil
		}
		for path, h := range map[string]http.Handler{
			"/bench.Bench/Bytes": connect.NewUnaryHandler("/bench.Bench/Bytes", echo, plain),
			"/bench.Bench/Sleep": connect.NewUnaryHandler("/bench.Bench/Sleep", func(ctx context.Context, r *connect.Request[wrapperspb.BytesValue]) (*connect.Response[wrapperspb.BytesValue], error) {
				time.Sleep(handlerSleep)
				return echo(ctx, r)
			}, plain),
			"/bench.Bench/Typed": connect.NewUnaryHandler("/bench.Bench/Typed", func(_ context.Context, r *connect.Request[typepb.Field]) (*connect.Response[typepb.Field], error) {
				r.Msg.Number++
				return connect.NewResponse(r.Msg), nil
			}, plain),
			"/bench.Bench/Down": connect.NewServerStreamHandler("/bench.Bench/Down", func(_ context.Context, r *connect.Request[wrapperspb.BytesValue], s *connect.ServerStream[wrapperspb.BytesValue]) error {
				return chunks(rawSize(r.Msg.GetValue()), func(p []byte) error { return s.Send(wrapperspb.Bytes(p)) })
			}, plain),
			"/bench.Bench/Up": connect.NewClientStreamHandler("/bench.Bench/Up", func(_ context.Context, s *connect.ClientStream[wrapperspb.BytesValue]) (*connect.Response[wrapperspb.BytesValue], error) {
				var got int64
				for s.Receive() {
					got += int64(len(s.Msg().GetValue()))
				}
				return connect.NewResponse(wrapperspb.Bytes(rawMessage(rawUp, got))), s.Err()
			}, plain),
		} {
			mux.Handle(path, h)
		}
		server := &http.Server{
			Handler: mux, ReadHeaderTimeout: time.Minute, Protocols: plainHTTP2(),
			HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1 << 15},
		}
		go func() { _ = server.Serve(l) }() // it ends with the server
		return "http://" + l.Addr().String(), func() { server.Close() }, nil
	},
	dial: func(_ context.Context, addr string) (*client, error) {
		transport := &http.Transport{Protocols: plainHTTP2()}
		over := &http.Client{Transport: transport}
		plain := connect.WithAcceptCompression("gzip", nil, nil)
		call := func(method string) func(context.Context, []byte) ([]byte, error) {
			c := connect.NewClient[wrapperspb.BytesValue, wrapperspb.BytesValue](over, addr+method, plain)
			return func(ctx context.Context, p []byte) ([]byte, error) {
				r, err := c.CallUnary(ctx, connect.NewRequest(wrapperspb.Bytes(p)))
				if err != nil {
					return nil, err
				}
				return r.Msg.GetValue(), nil
			}
		}
		typed := connect.NewClient[typepb.Field, typepb.Field](over, addr+"/bench.Bench/Typed", plain)
		down := connect.NewClient[wrapperspb.BytesValue, wrapperspb.BytesValue](over, addr+"/bench.Bench/Down", plain)
		up := connect.NewClient[wrapperspb.BytesValue, wrapperspb.BytesValue](over, addr+"/bench.Bench/Up", plain)
		var messages []*typepb.Field
		for i := range sampleRecords {
			messages = append(messages, fieldOf(&sampleRecords[i]))
		}
		return &client{
			bytes: call("/bench.Bench/Bytes"),
			sleep: call("/bench.Bench/Sleep"),
			typed: func(ctx context.Context) error {
				i := sample()
				r, err := typed.CallUnary(ctx, connect.NewRequest(messages[i]))
				if err != nil {
					return err
				}
				return checkRecord(i, recordOf(r.Msg))
			},
			down: func(ctx context.Context, size int64) error {
				s, err := down.CallServerStream(ctx, connect.NewRequest(wrapperspb.Bytes(rawMessage(rawDown, size))))
				if err != nil {
					return err
				}
				defer func() { _ = s.Close() }()
				var got int64
				for s.Receive() {
					got += int64(len(s.Msg().GetValue()))
				}
				if err := s.Err(); err != nil {
					return err
				}
				return arrived(got, size)
			},
			up: func(ctx context.Context, size int64) error {
				s := up.CallClientStream(ctx)
				if err := chunks(size, func(p []byte) error { return s.Send(wrapperspb.Bytes(p)) }); err != nil {
					return err
				}
				r, err := s.CloseAndReceive()
				if err != nil {
					return err
				}
				return arrived(rawSize(r.Msg.GetValue()), size)
			},
			close: transport.CloseIdleConnections,
		}, nil
	},
}

func plainHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}
