;; Where some of many short texts stand in a range of JSON, whatever their case (WebAssembly SIMD). needle-kernel.ts calls it and
;; fills its tables; `npm run kernel` makes needles-module.ts of this file, and a test holds the two together.
;;
;; Texts of five bytes and more are found by four bytes of theirs at every second place, by hash; shorter ones by two bytes, sixteen
;; places at a time. What may be one is compared byte by byte.
(module
  (memory (export "memory") 4)
  ;; Input from 0, up to 32 KiB and the zeros behind it.
  (global $BITS i32 (i32.const 0x9000))        ;; one for each hash of four bytes
  (global $HEADS i32 (i32.const 0xb000))       ;; first entry, 16 bits, by the upper 12 bits of the hash
  (global $PAIR_TABLES i32 (i32.const 0xd000)) ;; classes of the first byte by its lower and its upper half, then of the second
  (global $PAIR_HEADS i32 (i32.const 0xd100))  ;; first entry, 16 bits, by the hash of two bytes
  (global $FOUND i32 (i32.const 0xd400))       ;; 32 bits each
  (global $FOUND_MAX i32 (i32.const 256))
  (global $LEADS i32 (i32.const 0xd800))       ;; by byte: 1 for those over 0x7f that may begin a character of some text
  (global $ENTRIES i32 (i32.const 0xe000))     ;; 16 bytes each: what it is looked up by, address of its text, how far in that stands, its length, next, id
  ;; Comparisons for one range: past it, whoever wrote the range wants them to cost time.
  (global $COMPARED_MAX i32 (i32.const 1024))
  (global $found (mut i32) (i32.const 0))
  (global $compared (mut i32) (i32.const 0))

  ;; Gives how many ids it left at FOUND, twice, and 1 more when there is a percent sign. Gives -1 for what it cannot tell: a byte
  ;; of LEADS, an escape other than \" and \\, too much to note or to compare.
  (func (export "search") (param $length i32) (result i32)
    (local $at i32) (local $block v128) (local $first v128) (local $second v128) (local $seen v128) (local $percent v128)
    (local $low_first v128) (local $high_first v128) (local $low_second v128) (local $high_second v128)
    (local $bits i32) (local $place i32) (local $behind_escape i32) (local $byte i32) (local $word i32) (local $hash i32)
    (v128.store (local.get $length) (v128.const i64x2 0 0))
    (v128.store offset=16 (local.get $length) (v128.const i64x2 0 0))
    (global.set $found (i32.const 0))
    (global.set $compared (i32.const 0))
    (local.set $low_first (v128.load (global.get $PAIR_TABLES)))
    (local.set $high_first (v128.load offset=16 (global.get $PAIR_TABLES)))
    (local.set $low_second (v128.load offset=32 (global.get $PAIR_TABLES)))
    (local.set $high_second (v128.load offset=48 (global.get $PAIR_TABLES)))

    (block $end_of_blocks
      (loop $blocks
        (br_if $end_of_blocks (i32.ge_u (local.get $at) (local.get $length)))
        (local.set $block (v128.load (local.get $at)))
        (local.set $seen (v128.or (local.get $seen) (local.get $block)))
        (local.set $percent (v128.or (local.get $percent) (i8x16.eq (local.get $block) (i8x16.splat (i32.const 0x25)))))
        (local.set $bits (i8x16.bitmask (i8x16.eq (local.get $block) (i8x16.splat (i32.const 0x5c)))))
        (block $end_of_escapes
          (loop $escapes
            (br_if $end_of_escapes (i32.eqz (local.get $bits)))
            (local.set $place (i32.add (local.get $at) (i32.ctz (local.get $bits))))
            (local.set $bits (i32.and (local.get $bits) (i32.sub (local.get $bits) (i32.const 1))))
            ;; The second of two.
            (br_if $escapes (i32.lt_u (local.get $place) (local.get $behind_escape)))
            (local.set $byte (i32.load8_u offset=1 (local.get $place)))
            (if (i32.and (i32.ne (local.get $byte) (i32.const 0x22)) (i32.ne (local.get $byte) (i32.const 0x5c)))
              (then (return (i32.const -1))))
            (local.set $behind_escape (i32.add (local.get $place) (i32.const 2)))
            (br $escapes)))
        (local.set $first (v128.or (local.get $block) (i8x16.splat (i32.const 0x20))))
        (local.set $second (v128.or (v128.load offset=1 (local.get $at)) (i8x16.splat (i32.const 0x20))))
        (local.set $first (v128.and
          (v128.and
            (i8x16.swizzle (local.get $low_first) (v128.and (local.get $first) (i8x16.splat (i32.const 0x0f))))
            (i8x16.swizzle (local.get $high_first) (i8x16.shr_u (local.get $first) (i32.const 4))))
          (v128.and
            (i8x16.swizzle (local.get $low_second) (v128.and (local.get $second) (i8x16.splat (i32.const 0x0f))))
            (i8x16.swizzle (local.get $high_second) (i8x16.shr_u (local.get $second) (i32.const 4))))))
        (if (v128.any_true (local.get $first)) (then
          (local.set $bits (i8x16.bitmask (i8x16.ne (local.get $first) (v128.const i64x2 0 0))))
          (loop $pairs
            (local.set $place (i32.add (local.get $at) (i32.ctz (local.get $bits))))
            (local.set $word (i32.or (i32.load16_u (local.get $place)) (i32.const 0x2020)))
            (if (i32.eqz (call $compare_all
                (i32.load16_u (i32.add (global.get $PAIR_HEADS) (i32.shl (call $pair_hash (local.get $word)) (i32.const 1))))
                (local.get $word) (local.get $place) (local.get $length)))
              (then (return (i32.const -1))))
            (local.set $bits (i32.and (local.get $bits) (i32.sub (local.get $bits) (i32.const 1))))
            (br_if $pairs (local.get $bits)))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $blocks)))
    (if (i8x16.bitmask (local.get $seen)) (then
      (local.set $at (i32.const 0))
      (loop $leads
        (if (i32.load8_u (i32.add (global.get $LEADS) (i32.load8_u (local.get $at)))) (then (return (i32.const -1))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $leads (i32.lt_u (local.get $at) (local.get $length))))))

    (local.set $at (i32.const 0))
    (block $end_of_words
      (loop $words
        (br_if $end_of_words (i32.ge_u (local.get $at) (local.get $length)))
        (local.set $word (i32.or (i32.load (local.get $at)) (i32.const 0x20202020)))
        (local.set $hash (i32.shr_u (i32.mul (local.get $word) (i32.const 0x9e3779b1)) (i32.const 16)))
        (if (i32.and
              (i32.shr_u
                (i32.load8_u (i32.add (global.get $BITS) (i32.shr_u (local.get $hash) (i32.const 3))))
                (i32.and (local.get $hash) (i32.const 7)))
              (i32.const 1))
          (then
            (if (i32.eqz (call $compare_all
                (i32.load16_u (i32.add (global.get $HEADS) (i32.shl (i32.shr_u (local.get $hash) (i32.const 4)) (i32.const 1))))
                (local.get $word) (local.get $at) (local.get $length)))
              (then (return (i32.const -1))))))
        (local.set $at (i32.add (local.get $at) (i32.const 2)))
        (br $words)))
    (i32.or
      (i32.shl (global.get $found) (i32.const 1))
      (v128.any_true (local.get $percent))))

  (func $pair_hash (param $pair i32) (result i32)
    (i32.and (i32.shr_u (i32.mul (local.get $pair) (i32.const 0x9e3779b1)) (i32.const 16)) (i32.const 0xff)))

  ;; Notes those of a chain of entries whose text stands around $place. Gives 0 when it is too much.
  (func $compare_all (param $number i32) (param $key i32) (param $place i32) (param $length i32) (result i32)
    (local $entry i32) (local $from i32) (local $text i32) (local $left i32) (local $wanted i32) (local $difference i32)
    (block $end
      (loop $next
        (br_if $end (i32.eqz (local.get $number)))
        (local.set $entry (i32.add (global.get $ENTRIES) (i32.shl (local.get $number) (i32.const 4))))
        (local.set $number (i32.load16_u offset=12 (local.get $entry)))
        (global.set $compared (i32.add (global.get $compared) (i32.const 1)))
        (if (i32.gt_u (global.get $compared) (global.get $COMPARED_MAX)) (then (return (i32.const 0))))
        (br_if $next (i32.ne (i32.load (local.get $entry)) (local.get $key)))
        (local.set $from (i32.sub (local.get $place) (i32.load16_u offset=8 (local.get $entry))))
        (br_if $next (i32.lt_s (local.get $from) (i32.const 0)))
        (local.set $left (i32.load16_u offset=10 (local.get $entry)))
        (br_if $next (i32.gt_u (i32.add (local.get $from) (local.get $left)) (local.get $length)))
        (local.set $text (i32.load offset=4 (local.get $entry)))
        (loop $bytes
          (local.set $wanted (i32.load8_u (local.get $text)))
          (local.set $difference (i32.xor (i32.load8_u (local.get $from)) (local.get $wanted)))
          ;; The same, or a letter in upper case.
          (if (local.get $difference) (then
            (br_if $next (i32.ne (local.get $difference) (i32.const 0x20)))
            (br_if $next (i32.ge_u (i32.sub (local.get $wanted) (i32.const 0x61)) (i32.const 26)))))
          (local.set $from (i32.add (local.get $from) (i32.const 1)))
          (local.set $text (i32.add (local.get $text) (i32.const 1)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br_if $bytes (local.get $left)))
        (if (i32.ge_u (global.get $found) (global.get $FOUND_MAX)) (then (return (i32.const 0))))
        (i32.store
          (i32.add (global.get $FOUND) (i32.shl (global.get $found) (i32.const 2)))
          (i32.load16_u offset=14 (local.get $entry)))
        (global.set $found (i32.add (global.get $found) (i32.const 1)))
        (br $next)))
    (i32.const 1)))
