package main

// mutants are the rules that tests must notice when they are broken. The first of each package also runs in make test.
var mutants = []mutant{
	{
		name: "settles twice", file: "rpc/call.go", test: "TestEachCallSettlesOnce|TestCancel",
		old: "	if p.calls[c.id] == c {\n		p.giveUp(",
		new: "	if true {\n		p.giveUp(",
	},
	{
		name: "settled stays open", file: "rpc/call.go", test: "TestEachCallSettlesOnce|TestMixedCallsBothWays",
		old: "	delete(p.calls, c.id)\n",
		new: "",
	},
	{
		name: "id used again", file: "rpc/call.go", test: "TestEachCallSettlesOnce|TestMixedCallsBothWays",
		old: "	p.lastCall++\n",
		new: "	p.lastCall = uint64(len(p.calls)) + 1\n",
	},
	{
		name: "ids may fall", file: "rpc/receive.go", test: "TestAbuse",
		old: "	if f.ID <= p.lastServed {",
		new: "	if f.ID == p.lastServed {",
	},
	{
		name: "no, too eagerly", file: "rpc/call.go", test: "TestEachCallSettlesOnce|TestExecutedWhenLost",
		old: "	return Maybe\n}\n\n// cancel gives",
		new: "	return No\n}\n\n// cancel gives",
	},
	{
		name: "no, of the cancelled", file: "rpc/call.go", test: "TestEachCallSettlesOnce|TestCancel",
		old: "		e.Executed = Maybe // even",
		new: "		e.Executed = No // even",
	},
	{
		name: "cancel not sent", file: "rpc/call.go", test: "TestCancel",
		old: "	p.line.control(wire.Frame{Kind: wire.Cancel, Own: true, ID: c.id})\n",
		new: "",
	},
	{
		name: "credit on receipt", file: "rpc/inflow.go", test: "TestReaderStops|TestManyReadersStop",
		old: "	in.left -= int64(it.cost())\n	in.items++\n",
		new: "	in.left -= int64(it.cost())\n	in.items++\n	in.credit(it.cost())\n",
	},
	{
		name: "credit not enforced", file: "rpc/inflow.go", test: "TestAbuse",
		old: "	case in.left <= 0:\n",
		new: "	case false:\n",
	},
	{
		name: "end not counted", file: "rpc/inflow.go", test: "TestAbuse",
		old: "	if items != in.items {",
		new: "	if false {",
	},
	{
		name: "nothing is put together", file: "rpc/outflow.go", test: "TestWritesArePutTogether",
		old: "	l.hold(o)\n	o.signal()\n	return true\n",
		new: "	l.hold(o)\n	l.enqueue(o)\n	o.signal()\n	return true\n",
	},
	{
		name: "what is kept is added to behind others", file: "rpc/outflow.go", test: "TestPiecesArriveInOrder",
		old: "	o.frames, o.open = wire.Append(o.frames, f), -1\n",
		new: "	o.frames = wire.Append(o.frames, f)\n",
	},
	{
		name: "ack believed", file: "rpc/line.go", test: "TestAbuse",
		old: "	if n > w.sent || n < w.acked {",
		new: "	if false {",
	},
	{
		name: "strikes without end", file: "rpc/receive.go", test: "TestAbuse",
		old: "	if p.strikes >= maxStrikes {",
		new: "	if false {",
	},
	{
		name: "part runs over", file: "rpc/exchange.go", test: "TestAbuse",
		old: "	if len(a.buf)+len(b) > a.total {",
		new: "	if false {",
	},
	{
		name: "length believed", file: "rpc/exchange.go", test: "TestAssemblyLimit|TestAnnouncedLengthTakesNoMemory|TestAbuse|TestTooLongItems",
		old: "	case total > uint64(p.opt.MaxValue):\n",
		new: "	case false:\n",
	},
	{
		name: "no hand-over", file: "rpc/line.go", test: "TestLineIsHandedOver",
		old: "			p.run(lineTask{p, l})\n			p.mu.Unlock()\n			return\n",
		new: "			l.busy = false\n			p.mu.Unlock()\n			return\n",
	},
	{
		name: "reader wakes nobody", file: "rpc/receive.go", test: "TestKeepAlive|TestConversationVectors|TestNeverReads|TestAbuse",
		old: "	defer p.kick()\n	p.stats",
		new: "	p.stats",
	},
	{
		name: "runs in both attempts", file: "rpc/redial.go", test: "TestRedial|TestManyCuts",
		old: "		if c.mode == 0 && (c.repeat || ran == No) {",
		new: "		if c.mode == 0 {",
	},
	{
		name: "no, of one attempt", file: "rpc/redial.go", test: "TestExecutedAcrossAttempts",
		old: "			c.sent = ran == Maybe\n",
		new: "",
	},
	{
		name: "key runs again", file: "rpc/repeat.go", test: "TestKeyed",
		old: "	if e := k.m[name]; e != nil {",
		new: "	if e := k.m[name]; false {",
	},
	{
		name: "acks counted", file: "session/session.go", test: "TestSchedules",
		old: "		if err != nil || len(data) == 0 {\n",
		new: "		if c.received++; err != nil || len(data) == 0 {\n",
	},
	{
		name: "resends one too few", file: "session/session.go", test: "TestSchedules",
		old: "	l.next, l.born = has+1, ",
		new: "	l.next, l.born = has+2, ",
	},
	{
		name: "resends one too many", file: "session/session.go", test: "TestSchedules",
		old: "	l.next, l.born = has+1, ",
		new: "	l.next, l.born = max(has, 1), ",
	},
	{
		name: "stale not fenced", file: "session/session.go", test: "TestSchedules|TestResume|TestHalfOpen",
		old: "	case c.over || c.link != l:",
		new: "	case c.over:",
	},
	{
		name: "freed when written", file: "session/write.go", test: "TestSchedules",
		old: "		case c.grace < 0 && c.link == l:",
		new: "		case c.link == l:",
	},
	{
		name: "never acks alone", file: "session/session.go", test: "TestSchedules|TestAcknowledgesOnTheWay|TestBufferFull|TestIdle",
		old: "	if c.received > c.reported && c.link != nil {\n		c.ackDue = true\n",
		new: "	if c.received > c.reported && c.link != nil {\n",
	},
	{
		name: "buffer without bound", file: "session/write.go", test: "TestBufferFull",
		old: "	for !c.over && !c.kept.empty() && (",
		new: "	for false && (",
	},
	{
		name: "proof not checked", file: "session/server.go", test: "TestProofs",
		old: "!equal(m.Proof, m.prove(c.secret))",
		new: "false",
	},
	{
		name: "proof used again", file: "session/server.go", test: "TestProofs",
		old: "m.Try <= c.try",
		new: "m.Try < c.try",
	},
	{
		name: "try not counted", file: "session/dial.go", test: "TestSchedules|TestResume",
		old: "	c.try++\n",
		new: "	c.try = 1\n",
	},
	{
		name: "answer not proven", file: "session/dial.go", test: "TestStranger",
		old: "	if err == nil && !equal(answer.Proof, answer.prove(c.secret, m.ID, m.Try)) {",
		new: "	if false {",
	},
	{
		name: "counts believed", file: "session/session.go", test: "TestImpossibleCounts",
		old: "n > sent || n+1 < c.kept.first",
		new: "false",
	},
	{
		name: "silence not noticed", file: "jsonrpc/path.go", test: "TestFallsSilent",
		old: "	if a.asked && t.watched && a.silent == nil {",
		new: "	if false {",
	},
	{
		name: "pongs believed", file: "jsonrpc/path.go", test: "TestHeartbeats",
		old: "n > a.acked && n <= a.marked",
		new: "n > a.acked",
	},
	{
		name: "translator not counted", file: "jsonrpc/conn.go", test: "TestBudget",
		old: "	return t.account.Hold(t.table.size + t.table.held + cap(t.out.b) + t.writing)\n",
		new: "	return true\n",
	},
}
