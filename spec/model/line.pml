/* The line: how goroutines share the right to write, rpc/line.go.
 *
 * Callers queue a frame and, if nobody holds the line, take it, write one message with all that is queued, and hand the
 * line over to a worker if more was queued meanwhile. A read loop queues frames too (acks, refusals), but never writes: it
 * kicks a worker. A write takes as long as it likes.
 *
 * Proved: one goroutine writes at a time; whatever is queued gets written; nobody who has queued waits for ever. */

#define CALLERS 3
#define ROUNDS 2 /* frames that each queues */

byte queued;   /* frames in the line */
bit busy;      /* a goroutine holds it */
byte tasks;    /* workers that were given it and have not begun */
byte writers;  /* goroutines that write: never two */
byte written;

#ifdef LINE_NOT_HELD /* mutant: who finds frames writes them, held or not */
#define free 1
#else
#define free !busy
#endif

inline writing(n) {
	atomic { writers++; assert(writers == 1); n = queued; queued = 0 };
	atomic { writers--; written = written + n; n = 0 }
}

proctype Caller() {
	byte n, i;
	for (i : 1 .. ROUNDS) {
		atomic {
			queued++;
			if
			:: free -> busy = 1
			:: else -> goto next
			fi
		}
		writing(n);
#ifdef CHECKED_BEFORE /* mutant: whether more was queued is asked before the line is let go of, not in the same step */
		if
		:: queued > 0 -> tasks++
		:: queued == 0 -> busy = 0
		fi;
#else
		atomic {
			if
#ifndef NO_HANDOVER /* mutant: who wrote one message leaves */
			:: queued > 0 -> tasks++
#endif
			:: else -> busy = 0
			fi
		}
#endif
next:	}
}

proctype Worker() {
	byte n;
end:	do
	:: atomic { tasks > 0 -> tasks-- };
		do
		:: queued > 0 -> writing(n)
		:: atomic { queued == 0 -> busy = 0; break }
		od
	od
}

proctype ReadLoop() {
	byte i;
	for (i : 1 .. ROUNDS) {
		atomic {
			queued++;
#ifndef NO_KICK /* mutant: what is queued by the read loop waits for the next who writes */
			if
			:: free -> busy = 1; tasks++
			:: else
			fi
#endif
		}
	}
}

init {
	atomic {
		byte k;
		run Worker(); run ReadLoop();
		for (k : 1 .. CALLERS) { run Caller() }
		k = 0
	}
	_nr_pr == 2 && !busy; /* all have queued, and the line is idle again; the worker stays */
	assert(queued == 0 && written == ROUNDS * (CALLERS + 1))
}
