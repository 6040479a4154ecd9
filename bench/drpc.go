package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcpool"
	"storj.io/drpc/drpcserver"
)

// drpcSystem is storj.io/drpc with protobuf. A connection of it carries one call at a
// time, so many at once need its pool, as its documentation says; a small call beside
// a transfer goes over another connection by itself.
var drpcSystem = system{
	name: "drpc", also: true,
	serve: func() (string, func(), error) {
		l, err := loopback()
		if err != nil {
			return "", nil, err
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() { _ = drpcserver.New(drpcService{}).Serve(ctx, l) }() // it ends with ctx
		return l.Addr().String(), cancel, nil
	},
	dial: func(_ context.Context, addr string) (*client, error) {
		pool := drpcpool.New[string, *drpcconn.Conn](drpcpool.Options{})
		conn := pool.Get(context.Background(), addr, func(ctx context.Context, addr string) (*drpcconn.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err != nil {
				return nil, err
			}
			return drpcconn.New(c), nil
		})
		call := func(method string) func(context.Context, []byte) ([]byte, error) {
			return func(ctx context.Context, p []byte) ([]byte, error) {
				out := new(wrapperspb.BytesValue)
				err := conn.Invoke(ctx, method, drpcProto{}, wrapperspb.Bytes(p), out)
				return out.GetValue(), err
			}
		}
		var messages []*typepb.Field
		for i := range sampleRecords {
			messages = append(messages, fieldOf(&sampleRecords[i]))
		}
		return &client{
			bytes: call("/bench.Bench/Bytes"),
			sleep: call("/bench.Bench/Sleep"),
			typed: func(ctx context.Context) error {
				i, out := sample(), new(typepb.Field)
				if err := conn.Invoke(ctx, "/bench.Bench/Typed", drpcProto{}, messages[i], out); err != nil {
					return err
				}
				return checkRecord(i, recordOf(out))
			},
			down: func(ctx context.Context, size int64) error {
				s, err := conn.NewStream(ctx, "/bench.Bench/Down", drpcProto{})
				if err != nil {
					return err
				}
				defer func() { _ = s.Close() }()
				if err := s.MsgSend(wrapperspb.Bytes(rawMessage(rawDown, size)), drpcProto{}); err != nil {
					return err
				}
				got, err := drpcReceive(s)
				return errors.Join(err, arrived(got, size))
			},
			up: func(ctx context.Context, size int64) error {
				s, err := conn.NewStream(ctx, "/bench.Bench/Up", drpcProto{})
				if err != nil {
					return err
				}
				defer func() { _ = s.Close() }()
				if err := chunks(size, func(p []byte) error { return s.MsgSend(wrapperspb.Bytes(p), drpcProto{}) }); err != nil {
					return err
				}
				if err := s.CloseSend(); err != nil {
					return err
				}
				out := new(wrapperspb.BytesValue)
				if err := s.MsgRecv(out, drpcProto{}); err != nil {
					return err
				}
				return arrived(rawSize(out.GetValue()), size)
			},
			close: func() { _ = pool.Close() },
		}, nil
	},
}

// drpcService is what drpc's generated code calls, without the mux between.
type drpcService struct{}

func (drpcService) HandleRPC(s drpc.Stream, method string) error {
	in := new(wrapperspb.BytesValue)
	switch method {
	case "/bench.Bench/Bytes", "/bench.Bench/Sleep":
		if err := s.MsgRecv(in, drpcProto{}); err != nil {
			return err
		}
		if method == "/bench.Bench/Sleep" {
			time.Sleep(handlerSleep)
		}
		return s.MsgSend(in, drpcProto{})
	case "/bench.Bench/Typed":
		f := new(typepb.Field)
		if err := s.MsgRecv(f, drpcProto{}); err != nil {
			return err
		}
		f.Number++
		return s.MsgSend(f, drpcProto{})
	case "/bench.Bench/Down":
		if err := s.MsgRecv(in, drpcProto{}); err != nil {
			return err
		}
		err := chunks(rawSize(in.GetValue()), func(p []byte) error { return s.MsgSend(wrapperspb.Bytes(p), drpcProto{}) })
		return errors.Join(err, s.CloseSend())
	case "/bench.Bench/Up":
		got, err := drpcReceive(s)
		if err != nil {
			return err
		}
		return s.MsgSend(wrapperspb.Bytes(rawMessage(rawUp, got)), drpcProto{})
	}
	return fmt.Errorf("bench: no method %q", method)
}

// drpcReceive counts the bytes of a stream until its end.
func drpcReceive(s drpc.Stream) (got int64, err error) {
	in := new(wrapperspb.BytesValue)
	for {
		switch err := s.MsgRecv(in, drpcProto{}); {
		case err == nil:
			got += int64(len(in.GetValue()))
		case errors.Is(err, io.EOF):
			return got, nil
		default:
			return got, err
		}
	}
}

// drpcProto is the encoding that drpc's generator writes.
type drpcProto struct{}

func (drpcProto) Marshal(m drpc.Message) ([]byte, error) { return proto.Marshal(m.(proto.Message)) }
func (drpcProto) Unmarshal(p []byte, m drpc.Message) error {
	return proto.Unmarshal(p, m.(proto.Message))
}

func (drpcProto) MarshalAppend(p []byte, m drpc.Message) ([]byte, error) {
	return proto.MarshalOptions{}.MarshalAppend(p, m.(proto.Message))
}
