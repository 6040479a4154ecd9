/* Credit and the connection's window: sections 8 and 9 of the specification, rpc/stream.go, rpc/line.go.
 *
 * Two peers on a connection that holds CAP messages each way. Each has a read loop, which never writes; a line, the only
 * one that writes (line.pml shows how goroutines share it); a caller, who makes one call after the other; and a reader
 * for each stream that comes in. Streams never end. An item costs 2, credit starts at 3. The reader of stream 0 may stop
 * for good at any time (unless STEADY is defined); that of stream 1 never does.
 *
 * Proved: no deadlock; credit is never below zero by more than one item; what waits for a reader is bounded by the credit
 * and one item; an honest peer breaks no rule of the other's; every call gets its answer and stream 1 goes on, whatever
 * the reader of stream 0 does.
 *
 * Left out: windows that grow, long values (a long item costs its whole length at once), cancels, the end of a stream.
 * An ack here tells what is new, not the sum: on a connection that keeps order that is the same, and it is finite. */

#ifndef CAP
#define CAP 0      /* messages that the connection holds each way */
#endif
#ifndef STREAMS
#define STREAMS 1  /* of each peer that sends any */
#endif
#ifndef SENDERS
#define SENDERS 2  /* 2: both peers stream; 1: only peer 0 does */
#endif

#ifndef CREDIT
#define CREDIT 3   /* what a stream starts with */
#endif
#define ITEM   2   /* what an item costs, and its bytes */
#ifndef WINDOW
#define WINDOW 3   /* so many unacknowledged bytes of bulk let no more out */
#endif

typedef Peer {
	/* what waits in the line */
	bit request, answer;
	byte grant[STREAMS];  /* credit to give back */
	bit marked;           /* the other side asked for an ack */
	/* as a sender of bulk */
	short credit[STREAMS];
	byte flying;          /* sent, not acknowledged */
	byte turn;            /* the stream whose turn it is */
	/* as a receiver of bulk */
	byte received;        /* since the last ack */
	short left[STREAMS];  /* what the sender may still send, as this side sees it */
	byte held[STREAMS];   /* what waits for the reader */
	byte eaten[STREAMS];  /* read, not given back yet */
	/* calls */
	bit open;
}

Peer peer[2];
bit beat; /* changes when peer 1 has read an item of its last stream */

/* wire[i] goes to peer i. A message: request, answer, ack, credit for stream 0 and 1, the stream of an item, an item's
 * length or 0. An item brings a mark. */
chan wire[2] = [CAP] of { bit, bit, byte, byte, byte, byte, byte }
#define message req, ans, ack, g0, g1, st, n
#define noMessage req = 0; ans = 0; ack = 0; g0 = 0; g1 = 0; st = 0; n = 0

#ifdef ACK_WAITS_FOR_WINDOW /* mutant: an ack goes out only when bulk may, too */
#define acks(p) (peer[p].marked && peer[p].flying < WINDOW)
#else
#define acks(p) peer[p].marked
#endif

#ifdef CREDIT_IGNORED /* mutant: the sender does not look at the credit */
#define mayItem(p, s) (p < SENDERS)
#else
#define mayItem(p, s) (p < SENDERS && peer[p].credit[s] > 0)
#endif

#if STREAMS == 1
#define anyItem(p) mayItem(p, 0)
#define anyGrant(p) (peer[p].grant[0] > 0)
#else
#define anyItem(p) (mayItem(p, 0) || mayItem(p, 1))
#define anyGrant(p) (peer[p].grant[0] > 0 || peer[p].grant[1] > 0)
#endif

#ifdef WINDOW_IGNORED /* mutant: bulk does not wait for acks */
#define bulk(p) anyItem(p)
#else
#define bulk(p) (peer[p].flying < WINDOW && anyItem(p))
#endif

#define pending(p) (peer[p].request || peer[p].answer || anyGrant(p) || acks(p) || bulk(p))

/* take moves what is to be written next out of the line: all that is no bulk, and at most one item. */
inline take(p) {
	req = peer[p].request; peer[p].request = 0;
	ans = peer[p].answer; peer[p].answer = 0;
	g0 = peer[p].grant[0]; peer[p].grant[0] = 0;
#if STREAMS == 2
	g1 = peer[p].grant[1]; peer[p].grant[1] = 0;
#endif
	if
	:: acks(p) -> ack = peer[p].received; peer[p].received = 0; peer[p].marked = 0
	:: else
	fi;
	if
	:: bulk(p) ->
#ifdef UNFAIR /* mutant: no turns, the first stream that may send does */
		st = 0;
#else
		st = peer[p].turn;
#endif
		if
		:: mayItem(p, st)
		:: else -> st = (st + 1) % STREAMS
		fi;
		peer[p].turn = (st + 1) % STREAMS;
		n = ITEM;
		peer[p].credit[st] = peer[p].credit[st] - n;
		assert(peer[p].credit[st] > -ITEM);
		peer[p].flying = peer[p].flying + n;
		assert(peer[p].flying < WINDOW + ITEM)
	:: else
	fi
}

#ifdef READER_WRITES
bit busy[2]; /* who holds the line */
#endif

proctype Line(bit p) {
	bit req, ans; byte ack, g0, g1, st, n;
end:	do
	:: atomic { pending(p) -> take(p) };
#ifdef READER_WRITES
		atomic { !busy[p] -> busy[p] = 1 };
#endif
		atomic { wire[1 - p] ! message; noMessage
#ifdef READER_WRITES
			; busy[p] = 0
#endif
		}
	od
}

/* The read loop takes a message in, in one step under the peer's lock, and waits for nothing but the next. */
proctype ReadLoop(bit p) {
	bit req, ans; byte ack, g0, g1, st, n;
end:	do
	:: atomic {
		wire[p] ? message;
		assert(ack <= peer[p].flying);
		peer[p].flying = peer[p].flying - ack;
		peer[p].credit[0] = peer[p].credit[0] + g0;
#if STREAMS == 2
		peer[p].credit[1] = peer[p].credit[1] + g1;
#endif
		if
		:: ans -> assert(peer[p].open); peer[p].open = 0
		:: else
		fi;
		if
		:: req -> assert(!peer[p].answer); peer[p].answer = 1 /* a worker ran the handler */
		:: else
		fi;
		if
		:: n > 0 ->
			assert(peer[p].left[st] > 0); /* else the connection would be cut */
			peer[p].left[st] = peer[p].left[st] - n;
			peer[p].held[st] = peer[p].held[st] + n;
			assert(peer[p].held[st] < CREDIT + ITEM);
#ifndef ACK_ON_CONSUMPTION
			peer[p].received = peer[p].received + n; peer[p].marked = 1;
#endif
#ifdef CREDIT_ON_RECEIPT /* mutant: credit is given back for what came, not for what was read */
			peer[p].grant[st] = peer[p].grant[st] + n; peer[p].left[st] = peer[p].left[st] + n;
#endif
#ifdef READER_WAITS /* mutant: the read loop waits until there is room for one more */
			peer[p].held[st] < CREDIT;
#endif
#ifdef READER_WRITES /* mutant: the read loop answers a mark itself */
			ack = peer[p].received; peer[p].received = 0; peer[p].marked = 0;
			!busy[p] -> busy[p] = 1;
			wire[1 - p] ! 0, 0, ack, 0, 0, 0, 0;
			busy[p] = 0;
#endif
		:: else
		fi;
		noMessage
	   }
	od
}

/* A caller makes one call after the other, for ever. */
proctype Caller(bit p) {
	do
	:: d_step { !peer[p].open -> peer[p].open = 1; peer[p].request = 1 }
	od
}

/* A reader of a stream gives credit back for what it has read, half a window at a time. */
proctype Reader(bit p; bit s) {
end:	do
	:: d_step { peer[p].held[s] > 0 ->
		peer[p].held[s] = peer[p].held[s] - ITEM;
		if
		:: p == 1 && s == STREAMS - 1 -> beat = !beat
		:: else
		fi;
#ifdef ACK_ON_CONSUMPTION /* mutant: bulk is acknowledged when it was read, not when it came */
		peer[p].received = peer[p].received + ITEM; peer[p].marked = 1;
#endif
#ifndef CREDIT_ON_RECEIPT
		peer[p].eaten[s] = peer[p].eaten[s] + ITEM;
		if
#ifdef CREDIT_TOO_LATE /* mutant: credit is given back only for more than the whole window */
		:: peer[p].eaten[s] > CREDIT + ITEM ->
#else
		:: peer[p].eaten[s] >= (CREDIT + 1) / 2 ->
#endif
			peer[p].grant[s] = peer[p].grant[s] + peer[p].eaten[s];
			peer[p].left[s] = peer[p].left[s] + peer[p].eaten[s];
			peer[p].eaten[s] = 0
		:: else
		fi;
#endif
	   }
#ifndef STEADY
	:: s < STREAMS - 1 || STREAMS == 1 -> goto stopped
#endif
	od;
stopped: skip
}

init {
	atomic {
		byte i, j;
		for (i : 0 .. 1) {
			for (j : 0 .. STREAMS - 1) {
				peer[i].credit[j] = CREDIT; peer[i].left[j] = CREDIT;
				if
				:: 1 - i < SENDERS -> run Reader(i, j)
				:: else
				fi
			}
			run ReadLoop(i); run Line(i); run Caller(i)
		}
		i = 0; j = 0
	}
}

/* Every call gets its answer. */
ltl calls { [] (peer[0].open -> <> !peer[0].open) && [] (peer[1].open -> <> !peer[1].open) }
/* The stream whose reader does not stop goes on for ever. */
ltl goes { []<> beat && []<> !beat }
