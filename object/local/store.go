package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/chumsync/chum/object"
)

// Errors that are told apart with errors.Is; see also [LockedError] and those
// of package object.
var (
	ErrClosed = errors.New("local: the store is closed")
	ErrNewer  = errors.New("local: the store was made by a newer chum")
)

// Options for [Open]. A nil *Options is the same as the zero value.
type Options struct {
	// Logger is told of damage that was found and of failures that no caller
	// sees. Nil means slog.Default().
	Logger *slog.Logger
}

// Store is a directory of objects and refs. All methods may be called by many
// goroutines at the same time.
type Store struct {
	dir   string
	log   *slog.Logger
	lock  *lock // nil in tests without a directory
	index *index
	packs *packs

	// life is held, to read, by each call for as long as it needs the index
	// and the packs, and to write by Close.
	life   sync.RWMutex
	closed bool
	ended  error // what Close returned

	// wake tells the committer that open has something, quit that it is the
	// last; done is closed when it has ended.
	wake, quit, done chan struct{}

	commits atomic.Int64 // groups in the index so far

	mu         sync.Mutex
	open       *group   // takes records
	committing *group   // being written; nil when none is
	recent     []*group // the last ones that are in the index, the newest last
	mark       mark
	broken     error // after it nothing is written any more
	damaged    map[object.Hash]struct{}

	// spare is the memory of the last committed group, for the next.
	spareBuf     []byte
	spareRecords []record

	// The committer's own.
	head     file // the pack that grows; nil before the first
	headSeal seal
	headFull bool // the next group begins a new pack
}

var (
	_ object.Store = (*Store)(nil)
	_ object.Refs  = (*Store)(nil)
)

// packLimit is the size in bytes beyond which a pack is not continued. It is a
// variable so that tests need not write that much.
var packLimit int64 = 256 << 20

// Open opens the store in dir, and makes one if dir is absent or empty. The
// caller closes it.
//
// It is refused if another process has it open (*LockedError), if a newer
// program made it (ErrNewer), if dir is a file, holds something else, belongs
// to somebody else or can be written by others, and if a pack is missing, cut
// short or damaged in a way that hides its records (object.ErrCorrupt).
//
// After a crash it reads the end of the last packs again, 256 MiB or so; if
// the index is missing, the headers of all records.
func Open(dir string, options *Options) (*Store, error) {
	return open(dir, options, osFiles{}, vfs.Default)
}

// open is Open with the seams: files for packs and format, under for the index.
func open(dir string, options *Options, files fileSystem, under vfs.FS) (_ *Store, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("local: %w", err)
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	l, err := lockDir(dir)
	if err != nil {
		return nil, writable(dir, err)
	}
	defer func() {
		if err != nil {
			err = writable(dir, errors.Join(err, l.release()))
		}
	}()
	if err := checkDir(dir); err != nil { // again: it may have changed before the lock
		return nil, err
	}
	if err := layOut(files, dir); err != nil {
		return nil, err
	}
	s, err := start(dir, options, files, under)
	if err != nil {
		return nil, err
	}
	s.lock = l
	return s, nil
}

// start opens index and packs, brings them together, and runs the committer.
func start(dir string, options *Options, files fileSystem, under vfs.FS) (*Store, error) {
	s := &Store{
		dir:     dir,
		log:     slog.Default(),
		packs:   &packs{files: files, dir: filepath.Join(dir, "packs"), open: make(map[uint32]*openPack)},
		wake:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
		open:    newGroup(),
		damaged: make(map[object.Hash]struct{}),
	}
	if options != nil && options.Logger != nil {
		s.log = options.Logger
	}
	var err error
	if s.index, err = openIndex(filepath.Join(dir, "index"), under, s.log); err != nil {
		return nil, err
	}
	if err := s.recover(); err != nil {
		if s.head != nil {
			s.head.Close()
		}
		return nil, errors.Join(err, s.packs.close(), s.index.close())
	}
	go s.commitAll()
	return s, nil
}

// Close waits for the calls that are running, makes the index durable and
// gives up the lock. Calls that come later fail with ErrClosed. To close again
// does nothing and returns the same.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return s.ended
	}
	s.closed = true
	close(s.quit)
	<-s.done
	errs := []error{s.packs.close(), s.index.close()}
	if s.head != nil {
		errs = append(errs, s.head.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	s.ended = errors.Join(errs...)
	return s.ended
}

// enter begins a call; leave ends it if there was no error.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("local: %w", err)
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return ErrClosed
	}
	return nil
}

func (s *Store) leave() { s.life.RUnlock() }

// Get implements object.Store. An object whose bytes have changed on disk is
// object.ErrCorrupt, with its place; from then on Has says false, and a Put
// stores it anew.
func (s *Store) Get(ctx context.Context, h object.Hash) ([]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	at, found, err := s.index.locate(h)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w: object %s", object.ErrNotFound, h)
	}
	data := make([]byte, at.size)
	switch err := s.packs.readAt(data, at.pack, int64(at.offset)+recordHeaderSize); {
	case err == nil && object.Sum(data) == h:
		return data, nil
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrNotExist):
		s.mu.Lock()
		s.damaged[h] = struct{}{}
		s.mu.Unlock()
		bad := fmt.Errorf("%w: object %s in pack %s at offset %d: put it again, or restore the pack from a copy",
			object.ErrCorrupt, h, packName(at.pack), at.offset)
		return nil, errors.Join(bad, err)
	default:
		return nil, fmt.Errorf("local: read object %s: %w", h, err)
	}
}

// Has implements object.Store. What it reports is durable.
func (s *Store) Has(ctx context.Context, hs ...object.Hash) ([]bool, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	has := make([]bool, 0, len(hs))
	for len(hs) > 0 {
		n := min(len(hs), portionObjects)
		some, err := s.has(hs[:n])
		if err != nil {
			return nil, err
		}
		has, hs = append(has, some...), hs[n:]
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("local: %w", err)
		}
	}
	return has, nil
}

// has tells for each of hs whether it is there and not known to be damaged.
func (s *Store) has(hs []object.Hash) ([]bool, error) {
	has, err := s.index.has(hs)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.damaged) > 0 {
		for i, h := range hs {
			if _, bad := s.damaged[h]; bad {
				has[i] = false
			}
		}
	}
	return has, nil
}

// Stats says how much a store holds.
type Stats struct {
	Objects int64 // distinct objects
	Bytes   int64 // their lengths added up
	Refs    int64
	Packs   int64 // pack files
	Damaged int64 // objects found damaged since Open and not put again
}

// Stats returns what the store holds now. After Close it is what was there
// then.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Objects: s.mark.objects,
		Bytes:   s.mark.bytes,
		Refs:    s.mark.refs,
		Packs:   int64(s.mark.pack), // packs are numbered from 1, without gaps
		Damaged: int64(len(s.damaged)),
	}
}
