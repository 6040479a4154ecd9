/* Resume: the session beneath the calls, section 15 of the specification, package session.
 *
 * A client makes CALLS calls, each one message; the server runs their handlers in any order and answers each with one
 * message. Connections hold HOLD messages each way and are cut CUTS times, at any moment, also amid a resume. What is
 * under way then is lost from some message on, each way for itself; each side notices when it does; what is written after
 * the cut is lost. The client dials again. The server may be restarted, either side's grace may be over, and somebody
 * who has recorded a resume sends it again.
 *
 * Proved: messages are delivered in order, each once; no handler runs twice; every call settles once; no call of which
 * "not executed" was said runs, before or after; the session is lost only by a restart or because the grace was over; and
 * if it is not lost, every call gets its result. The buffer for what is not acknowledged is bounded. No deadlock; and as
 * every step uses something up, there is an end.
 *
 * Left out: how a session is opened (a cut before the answer is its end), the proof's arithmetic (a proof is right if it
 * was made for this number), limits of the server, what rpc does above a lost session. */

#ifndef CALLS
#define CALLS 3 /* 2 or 3 */
#endif
#ifndef CUTS
#define CUTS 2
#endif
#ifndef HOLD
#define HOLD 2
#endif
#ifndef RESTARTS
#define RESTARTS 0 /* of the server, with all it knew */
#endif
#ifndef EXPIRES
#define EXPIRES 0  /* 1: the grace may be over, on either side */
#endif

#define LINKS (CUTS + RESTARTS + 1)
#define NONE 255
#define CLIENT_BUFFER 2 /* messages that the client keeps unacknowledged */
#define SERVER_BUFFER 1

mtype = { data, ack, resume, resumed, refused, close };
/* kind; of data: the call; its number, which does not travel and is here to be checked; messages received so far */
chan up[LINKS] = [HOLD] of { mtype, byte, byte, byte };
chan down[LINKS] = [HOLD] of { mtype, byte, byte, byte };
bit cut[LINKS];
byte links = 1;

typedef Side {
	byte link = 0;   /* the connection in use */
	byte sent;       /* messages kept to be sent, ever */
	byte acked;      /* of those, what the other side has for certain */
	byte next = 1;   /* what is written next on this connection */
	byte received;   /* messages delivered */
	byte reported;   /* of those, acknowledged */
	byte try;        /* the number of the last resume */
	byte order;      /* the number of the message delivered last: must be equal to received */
}
Side c, s;
bit waiting;             /* the client has sent a resume and waits for the answer */
bit known = 1;           /* the server knows the session */
bit excuse;              /* a reason to lose the session: a restart, a grace that was over */

mtype = { idle, open, result, no, maybe };
mtype call[CALLS + 1] = idle;
byte made, settled;
bit gave_up;
byte ran[CALLS + 1];     /* how often the handler ran */
bit todo[CALLS + 1];     /* it ran, its result is not kept yet */
byte result_of[CALLS + 1]; /* the server's messages: which call each answers */

#ifdef ACK_ONLY_RIDES /* mutant: an ack never goes alone */
#define ackAlone(x) 0
#else
#define ackAlone(x) (x.received > x.reported)
#endif
#ifdef PROOF_REUSABLE /* mutant: the number of a resume may come again */
#define fresh(n) (n >= s.try)
#else
#define fresh(n) (n > s.try)
#endif

inline settle(id, how) {
	assert(call[id] == open);
	assert(how != no || ran[id] == 0);
	call[id] = how; settled++
}

/* acknowledged lets go of what the other side has. */
inline acknowledged(x, n) {
	assert(n <= x.sent);
	if
	:: n > x.acked -> x.acked = n
	:: else
	fi
}

/* attach goes on with a connection on which the other side has said how much it has. */
inline attach(x, k, n) {
	assert(n >= x.acked); /* what is missing is still kept */
	acknowledged(x, n);
#ifdef RESEND_LATER /* mutant: sends again from one message too far on */
	x.next = n + 2;
#else
#ifdef RESEND_EARLIER /* mutant: sends again what the other side has already */
	x.next = (n > 0 -> n : 1);
#else
	x.next = n + 1;
#endif
#endif
	x.link = k; x.reported = x.received
}

/* delivered takes a message of the layer above in. */
inline delivered(x, g) {
	x.order = g;
	assert(x.order == x.received) /* in order, each once */
}

/* lose settles all that is open: the session is over at the client. */
inline lose() {
	assert(excuse);
	gave_up = 1; c.link = NONE; waiting = 0;
	for (i : 1 .. CALLS) {
		if
		:: call[i] == open ->
#ifdef NO_PER_ATTEMPT /* mutant: "not executed", since nothing was written on this connection */
			if
			:: i >= c.next -> settle(i, no)
			:: else -> settle(i, maybe)
			fi
#else
			settle(i, maybe) /* the session had it: it may have been sent on any connection */
#endif
		:: call[i] == idle -> call[i] = open; settle(i, no) /* never given to the session */
		:: else
		fi
	}
	i = 0
}

proctype Client() {
	mtype kind; byte a, g, n, i; bit half;
	do
	/* The layer above makes a call: its message is kept, then written. */
	:: atomic { !gave_up && !half && made < CALLS && c.sent - c.acked < CLIENT_BUFFER ->
		made++; call[made] = open;
#ifdef KEPT_AFTER_WRITE /* mutant: what was written is kept afterwards, and not if there is no connection */
		if
		:: c.link != NONE && !waiting && nfull(up[c.link]) ->
			if
			:: cut[c.link] -> half = 1
			:: else -> half = 1; up[c.link] ! data, made, made, c.received
			fi
		:: else -> c.sent++
		fi
	   }
	:: atomic { half -> half = 0; c.sent++; c.next = c.sent + 1
#else
		c.sent++
#endif
	   }
	:: atomic { c.link != NONE && !waiting && c.next <= c.sent && nfull(up[c.link]) ->
		if
		:: cut[c.link] /* written, and lost */
		:: else -> up[c.link] ! data, c.next, c.next, c.received
		fi;
		c.reported = c.received; c.next++;
#ifdef FREED_ON_WRITE /* mutant: what was written is let go of */
		c.acked = c.next - 1
#endif
	   }
	:: atomic { c.link != NONE && !waiting && ackAlone(c) && nfull(up[c.link]) ->
		if
		:: cut[c.link]
		:: else -> up[c.link] ! ack, 0, 0, c.received
		fi;
		c.reported = c.received
	   }
	/* Something comes. */
	:: atomic { c.link != NONE && nempty(down[c.link]) -> down[c.link] ? kind, a, g, n;
		if
		:: kind == data ->
			assert(!waiting); acknowledged(c, n);
			c.received++; delivered(c, g); settle(a, result)
		:: kind == ack ->
			acknowledged(c, n);
#ifdef CONTROL_COUNTED /* mutant: acks count as messages */
			c.received++
#endif
		:: kind == resumed -> waiting = 0; attach(c, c.link, n)
		:: kind == refused -> lose()
		fi;
		kind = 0; a = 0; g = 0; n = 0
	   }
	/* The connection is cut; another is dialed. */
	:: atomic { c.link != NONE && cut[c.link] -> c.link = NONE; waiting = 0 }
	:: atomic { !gave_up && c.link == NONE && links < LINKS ->
#ifdef TRY_NOT_COUNTED /* mutant: another try to resume has the number of the first */
		c.try = 1;
#else
		c.try++;
#endif
#ifdef NO_PER_ATTEMPT
		c.next = 1;
#endif
		c.link = links; links++; waiting = 1;
		if
		:: cut[c.link]
		:: else -> up[c.link] ! resume, c.try, 0, c.received
		fi
	   }
#if EXPIRES
	:: atomic { !gave_up && (c.link == NONE || waiting) && settled < CALLS -> excuse = 1;
#ifdef GIVES_UP_HALF /* mutant: it settles all, and goes on with the answer to a resume that comes later */
		a = c.link; g = waiting; lose(); c.link = a; waiting = g; a = 0; g = 0
#else
		lose()
#endif
	   }
#endif
	/* All is settled: close. */
	:: settled == CALLS -> break
	od;
	assert(excuse || c.received == CALLS && s.sent == CALLS);
	do
	:: atomic { c.link != NONE && !waiting && !cut[c.link] && nfull(up[c.link]) -> up[c.link] ! close, 0, 0, 0; break }
	:: atomic { c.link == NONE || waiting || cut[c.link] -> break } /* nobody to tell: the server's grace ends it */
	od
}

/* deliver is what the server's layer above does with a message: it runs the handler. */
inline deliver(id, g) {
	delivered(s, g);
	ran[id]++;
	assert(ran[id] == 1);
	assert(call[id] != no);
	todo[id] = 1
}

/* The server's reader of one connection. */
proctype Reader(byte k) {
	mtype kind; byte a, g, n;
end:	do
	:: atomic { up[k] ? kind, a, g, n ->
		if
#ifdef NOT_FENCED /* mutant: an old connection goes on delivering after a resume */
		:: kind == data && known ->
#else
		:: kind == data && known && s.link == k ->
#endif
			acknowledged(s, n);
#ifdef COUNTED_EARLY /* mutant: counted first, delivered later, if the connection is still in use */
			s.received++; goto later
#else
			s.received++; deliver(a, g)
#endif
		:: kind == ack && known && s.link == k ->
			acknowledged(s, n);
#ifdef CONTROL_COUNTED
			s.received++
#endif
		:: kind == resume && known && fresh(a) ->
			s.try = a; attach(s, k, n);
			if
			:: cut[k]
			:: else -> down[k] ! resumed, 0, 0, s.received
			fi
#ifdef UNKNOWN_AS_NEW /* mutant: a session that is not here is begun anew */
		:: kind == resume && !known ->
			known = 1; s.try = a; s.sent = n; s.acked = n; s.next = n + 1; s.link = k; s.received = n; s.order = n; s.reported = n;
			if
			:: cut[k]
			:: else -> down[k] ! resumed, 0, 0, c.acked
			fi
		:: kind == resume && known && !fresh(a) ->
#else
		:: kind == resume && (!known || !fresh(a)) ->
#endif
			if
			:: cut[k]
			:: else -> down[k] ! refused, 0, 0, 0
			fi
		:: kind == close && known && s.link == k -> known = 0; s.link = NONE
		:: else /* an old connection's: dropped */
		fi;
		kind = 0; a = 0; g = 0; n = 0
	   }
	:: atomic { cut[k] -> /* it notices, and what is still under way is lost */
		if
		:: s.link == k -> s.link = NONE
		:: else
		fi;
		goto over
	   }
	od;
#ifdef COUNTED_EARLY
later:	skip; /* here it may be cut off */
	atomic {
		if
		:: known && s.link == k -> deliver(a, g)
		:: else
		fi;
		kind = 0; a = 0; g = 0; n = 0; goto end
	}
#endif
over:	skip
}

proctype Server() {
	byte i, restarts;
end:	do
	/* A handler is done: its result is kept, then written. */
	:: atomic { known && s.sent - s.acked < SERVER_BUFFER && (todo[1] || todo[2] || todo[CALLS]) ->
		if
		:: todo[1] -> i = 1
		:: todo[2] -> i = 2
		:: todo[CALLS] -> i = CALLS
		fi;
		todo[i] = 0; s.sent++; result_of[s.sent] = i; i = 0
	   }
	:: atomic { known && s.link != NONE && s.next <= s.sent && nfull(down[s.link]) ->
		if
		:: cut[s.link]
		:: else -> down[s.link] ! data, result_of[s.next], s.next, s.received
		fi;
		s.reported = s.received; s.next++
	   }
	:: atomic { known && s.link != NONE && ackAlone(s) && nfull(down[s.link]) ->
		if
		:: cut[s.link]
		:: else -> down[s.link] ! ack, 0, 0, s.received
		fi;
		s.reported = s.received
	   }
#if EXPIRES
	:: atomic { known && s.link == NONE -> known = 0; excuse = 1 }
#endif
#if RESTARTS
	:: atomic { restarts < RESTARTS -> restarts++; excuse = 1;
		known = 0; s.link = NONE; s.sent = 0; s.acked = 0; s.next = 1; s.received = 0; s.reported = 0; s.order = 0; s.try = 0;
		for (i : 1 .. CALLS) { todo[i] = 0; result_of[i] = 0 }
		for (i : 0 .. LINKS - 1) {
			if
			:: i < links -> cut[i] = 1
			:: else
			fi
		}
		i = 0
	   }
#endif
	od
}

/* Somebody has recorded the last resume and sends it again on a connection of his own. */
proctype Replay() {
end:	atomic { known && s.try > 0 && fresh(s.try) -> assert(false) }
}

/* The network cuts the newest connection, at any moment; a message that is under way may be lost with it. */
proctype Network() {
	byte cuts;
end:	do
	:: atomic { cuts < CUTS && !cut[links - 1] -> cuts++; cut[links - 1] = 1 }
	od
}

init {
	atomic {
		byte k;
		for (k : 0 .. LINKS - 1) { run Reader(k) }
		k = 0;
		run Client(); run Server(); run Replay(); run Network()
	}
}
