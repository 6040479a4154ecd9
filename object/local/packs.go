package local

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// packs reads packs through a bounded number of open files.
type packs struct {
	files fileSystem
	dir   string

	mu    sync.Mutex
	open  map[uint32]*openPack
	clock int64 // counts uses
}

// openPacks is how many pack files are kept open for reading when none is in
// use.
const openPacks = 64

// openPack is a file with the number of those who read from it.
type openPack struct {
	file  file
	users int
	used  int64 // the clock when it was last used
}

// path returns the file name of a pack.
func (p *packs) path(number uint32) string { return filepath.Join(p.dir, packName(number)) }

// readAt fills b from a pack at offset.
func (p *packs) readAt(b []byte, number uint32, offset int64) error {
	o, err := p.acquire(number)
	if err != nil {
		return err
	}
	defer p.release(o)
	if n, err := o.file.ReadAt(b, offset); n < len(b) {
		return fmt.Errorf("pack %s: %w", packName(number), err)
	}
	return nil
}

// acquire opens a pack, or takes the open one, and keeps it open.
func (p *packs) acquire(number uint32) (*openPack, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.open[number]
	if o == nil {
		p.evict()
		f, err := p.files.OpenFile(p.path(number), os.O_RDONLY, 0)
		if err != nil {
			return nil, err
		}
		o = &openPack{file: f}
		p.open[number] = o
	}
	p.clock++
	o.users, o.used = o.users+1, p.clock
	return o, nil
}

func (p *packs) release(o *openPack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o.users--
}

// evict closes the one that was not used for the longest time, if there are
// too many.
func (p *packs) evict() {
	if len(p.open) < openPacks {
		return
	}
	var oldest uint32
	for number, o := range p.open {
		if o.users == 0 && (oldest == 0 || o.used < p.open[oldest].used) {
			oldest = number
		}
	}
	if oldest != 0 {
		p.open[oldest].file.Close()
		delete(p.open, oldest)
	}
}

// close closes all; nobody reads any more.
func (p *packs) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.open {
		o.file.Close()
	}
	clear(p.open)
	return nil
}
