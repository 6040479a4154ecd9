package rpc

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// loginMux serves a login that takes its time.
func loginMux(hash func()) *Mux {
	m := limitMux()
	login := func(ctx context.Context, word string) bool {
		hash()
		if word != "sesame" {
			return false
		}
		PeerFrom(ctx).Admit()
		return true
	}
	m.Func("login", login)
	m.Func("length", func(b []byte) int { return len(b) })
	m.Func("challenge", func() string { return "who are you?" })
	return m
}

func TestLogin(t *testing.T) {
	options := Options{Login: []string{"challenge", "login", "dots"}, KeepAlive: -1, CallTimeout: -1}
	refusal := func(t *testing.T, r *raw, id uint64, code Code) {
		t.Helper()
		for _, f := range r.got(wire.Error) {
			if e := parseError(f.Payload); f.ID == id && e.Code == code && e.Executed == No {
				return
			}
		}
		t.Errorf("call %d was not refused as %s", id, code)
	}
	t.Run("a good one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := greeted(t, loginMux(func() { time.Sleep(time.Minute) }), options)
			r.acks = true
			r.send(request(1, 0, "hi", `["x"]`), request(2, 0, "nothing", ""), request(3, takes, "dots", "[1]"))
			refusal(t, r, 1, Unauthenticated)
			refusal(t, r, 2, Unauthenticated) // nor does it learn what there is
			refusal(t, r, 3, Unauthenticated)
			time.Sleep(strangerTime - time.Second)
			r.send(request(4, 0, "challenge", ""))
			synctest.Wait()
			r.send(request(5, 0, "login", `["open"]`), request(6, 0, "challenge", ""))
			refusal(t, r, 6, ResourceExhausted)
			time.Sleep(time.Minute + time.Second/2) // the hashing does not count
			r.send(request(7, 0, "login", `["sesame"]`))
			time.Sleep(time.Minute + time.Second/2)
			r.send(request(8, 0, "hi", `["x"]`), request(9, takes, "dots", "[1]"), bytesRequest(10, 0, "length", make([]byte, 2*strangerBytes)))
			if n := len(r.got(wire.Result)); n != 6 {
				t.Errorf("%d calls were answered, want challenge, two logins and what came then", n)
			}
			time.Sleep(time.Hour)
			if err := r.peer.Err(); err != nil {
				t.Errorf("cut: %v", err)
			}
		})
	})
	for _, test := range []struct {
		name   string
		do     func(r *raw)
		after  time.Duration
		reason string
	}{
		{"says nothing", func(*raw) {}, strangerTime, "did not log in within 5 s"},
		{"logs in in vain", func(r *raw) { r.send(request(1, 0, "login", `["open"]`)) }, strangerTime + time.Minute, "did not log in within 5 s"},
		{"calls something else", func(r *raw) { r.send(request(1, 0, "hi", `["x"]`)) }, strangerTime, "did not log in within 5 s"},
		{"sends much", func(r *raw) { r.send(bytesRequest(1, 0, "login", make([]byte, strangerBytes))) }, 0, "bytes came before the login; 16384 are taken"},
		{"sends much by and by", func(r *raw) {
			for r.send(conFrame(wire.Ping, "12345678")) {
			}
		}, 0, "bytes came before the login; 16384 are taken"},
		{"sends a byte at a time", func(r *raw) {
			r.send(long(request(1, 0, "login", uvarint(1000))))
			r.send(mine(wire.Part, 1, "x"))
		}, strangerTime, "did not log in within 5 s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := greeted(t, loginMux(func() { time.Sleep(time.Minute) }), options)
				began := time.Now()
				test.do(r)
				<-r.peer.Done()
				if d := time.Since(began); d != test.after {
					t.Errorf("cut after %v, want %v", d, test.after)
				}
				if err := r.peer.Err(); err == nil || !strings.Contains(err.Error(), test.reason) {
					t.Errorf("Err: %v", err)
				}
				if lines := r.log.lines(); len(lines) != 1 || !strings.Contains(lines[0], test.reason) {
					t.Errorf("logged: %q", lines)
				}
				if bye := r.got(wire.Bye); len(bye) != 1 || !strings.Contains(string(bye[0].Payload), test.reason) {
					t.Errorf("told: %v", bye)
				}
				r.gone()
			})
		})
	}
	t.Run("we may call a stranger", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, _ := join(t, loginMux(nil), nil, &options, nil)
			fails(t, a.Send(t.Context(), "hi", "x").Await(nil), Unimplemented, No, "hi")
		})
	})
}
