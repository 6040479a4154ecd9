package local

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chumsync/chum/object"
)

// batch returns n objects of size bytes and a function that makes them new.
func batch(n, size int) (objects [][]byte, renew func(id int64)) {
	for range n {
		objects = append(objects, numbered(0, size))
	}
	return objects, func(id int64) {
		for i, data := range objects {
			binary.BigEndian.PutUint64(data, uint64(id)*uint64(n)+uint64(i)+1)
		}
	}
}

// BenchmarkPutBatch puts new objects of 1 KiB, 1,000 and 10,000 in each Put,
// from one or several goroutines.
func BenchmarkPutBatch(b *testing.B) {
	for _, size := range []int{1000, 10_000} {
		for _, writers := range []int{1, 4} {
			b.Run(fmt.Sprintf("batch=%d/writers=%d", size, writers), func(b *testing.B) {
				s := openIn(b, storeDir(b))
				var id atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range writers {
					wg.Go(func() {
						objects, renew := batch(size, 1<<10)
						for {
							n := id.Add(1)
							if n > int64(b.N) {
								return
							}
							renew(n)
							if _, err := s.Put(background, objects...); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "objects/s")
			})
		}
	}
}

// BenchmarkPutSingle puts one new object of 1 KiB in each Put, from one and
// from many goroutines at once.
func BenchmarkPutSingle(b *testing.B) {
	for _, parallel := range []int{0, 50, 500} {
		b.Run(fmt.Sprint("parallel=", max(1, 2*parallel)), func(b *testing.B) {
			s := openIn(b, storeDir(b))
			var id atomic.Int64
			if parallel == 0 {
				objects, renew := batch(1, 1<<10)
				for b.Loop() {
					renew(id.Add(1))
					put(b, s, objects...)
				}
			} else {
				b.SetParallelism(parallel)
				b.RunParallel(func(p *testing.PB) {
					objects, renew := batch(1, 1<<10)
					for p.Next() {
						renew(id.Add(1))
						put(b, s, objects...)
					}
				})
			}
			b.ReportMetric(float64(id.Load())/b.Elapsed().Seconds(), "objects/s")
		})
	}
}

// BenchmarkGet gets objects of 1 KiB out of 200,000.
func BenchmarkGet(b *testing.B) {
	const stored = 200_000
	s := openIn(b, storeDir(b))
	hashes := make([]object.Hash, 0, stored)
	objects, renew := batch(1000, 1<<10)
	for i := range int64(stored / 1000) {
		renew(i)
		hashes = append(hashes, put(b, s, objects...)...)
	}
	b.SetBytes(1 << 10)
	for i := 0; b.Loop(); i++ {
		if _, err := s.Get(background, hashes[i*7919%stored]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHas asks for 1,000 absent and for 1,000 present objects out of
// 200,000.
func BenchmarkHas(b *testing.B) {
	const stored = 200_000
	s := openIn(b, storeDir(b))
	var hashes []object.Hash
	objects, renew := batch(1000, 1<<10)
	for i := range int64(stored / 1000) {
		renew(i)
		hashes = put(b, s, objects...)
	}
	absent := make([]object.Hash, 1000)
	for i := range absent {
		absent[i] = object.Sum(binary.BigEndian.AppendUint64(nil, uint64(i)))
	}
	for name, hs := range map[string][]object.Hash{"absent": absent, "present": hashes} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Has(background, hs...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*1000)/b.Elapsed().Seconds(), "hashes/s")
		})
	}
}
