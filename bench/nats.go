package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// natsSystem is NATS request/reply. The broker runs inside the server process,
// and the service talks to it over loopback as any other client does.
// NATS has no streams: here the receiver pulls chunks, or the sender waits for an
// answer, with natsWindow of them under way.
var natsSystem = system{
	name: "NATS",
	serve: func() (string, func(), error) {
		broker, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
		if err != nil {
			return "", nil, err
		}
		go broker.Start()
		if !broker.ReadyForConnections(5 * time.Second) {
			return "", nil, errors.New("bench: the NATS broker does not start")
		}
		conn, err := nats.Connect(broker.ClientURL())
		if err != nil {
			return "", nil, err
		}
		for subject, handle := range map[string]nats.MsgHandler{
			"bytes": func(m *nats.Msg) { _ = m.Respond(m.Data) },
			"sleep": func(m *nats.Msg) {
				go func() {
					time.Sleep(handlerSleep)
					_ = m.Respond(m.Data)
				}()
			},
			"typed": func(m *nats.Msg) {
				var r Record
				if json.Unmarshal(m.Data, &r) != nil {
					return
				}
				r.Number++
				if p, err := json.Marshal(&r); err == nil {
					_ = m.Respond(p)
				}
			},
			"pull": func(m *nats.Msg) { _ = m.Respond(chunk[:rawSize(m.Data)]) },
			"push": func(m *nats.Msg) { _ = m.Respond(rawMessage(rawUp, int64(len(m.Data)))) },
		} {
			if _, err := conn.Subscribe(subject, handle); err != nil {
				return "", nil, err
			}
		}
		if err := conn.Flush(); err != nil {
			return "", nil, err
		}
		return broker.ClientURL(), func() { conn.Close(); broker.Shutdown() }, nil
	},
	dial: func(_ context.Context, addr string) (*client, error) {
		conn, err := nats.Connect(addr)
		if err != nil {
			return nil, err
		}
		call := func(subject string) func(context.Context, []byte) ([]byte, error) {
			return func(ctx context.Context, p []byte) ([]byte, error) {
				m, err := conn.RequestWithContext(ctx, subject, p)
				if err != nil {
					return nil, err
				}
				return m.Data, nil
			}
		}
		typed := call("typed")
		return &client{
			bytes: call("bytes"),
			sleep: call("sleep"),
			typed: func(ctx context.Context) error {
				i := sample()
				p, err := json.Marshal(&sampleRecords[i])
				if err != nil {
					return err
				}
				if p, err = typed(ctx, p); err != nil {
					return err
				}
				var r Record
				if err := json.Unmarshal(p, &r); err != nil {
					return err
				}
				return checkRecord(i, r)
			},
			down: func(ctx context.Context, size int64) error {
				return natsTransfer(ctx, conn, "pull", size, func(n int64) []byte { return rawMessage(rawDown, n) },
					func(m *nats.Msg) int64 { return int64(len(m.Data)) })
			},
			up: func(ctx context.Context, size int64) error {
				return natsTransfer(ctx, conn, "push", size, func(n int64) []byte { return chunk[:n] },
					func(m *nats.Msg) int64 { return rawSize(m.Data) })
			},
			close: conn.Close,
		}, nil
	},
}

const natsWindow = 8

// natsTransfer moves size bytes by requests for, or with, a chunk each.
func natsTransfer(ctx context.Context, conn *nats.Conn, subject string, size int64, request func(n int64) []byte, count func(*nats.Msg) int64) error {
	inbox := conn.NewRespInbox()
	answers, err := conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = answers.Unsubscribe() }()
	var asked, got int64
	for under := 0; got < size; under-- {
		for ; under < natsWindow && asked < size; under++ {
			n := min(chunkSize, size-asked)
			if err := conn.PublishRequest(subject, inbox, request(n)); err != nil {
				return err
			}
			asked += n
		}
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return err
		}
		got += count(m)
	}
	return arrived(got, size)
}
