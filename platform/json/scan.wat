;; The scan of a record's JSON, sixteen bytes of a string at a time (WebAssembly SIMD): scan.ts for what most records are.
;; scan-kernel.ts calls it; `npm run kernel` makes scan-module.ts of this file, and a test holds the two together.
;;
;; Memory: input from 0, up to 1 MiB and the zeros behind it; the entry of each open bracket; output, 8 MiB.
(module
  (memory (export "memory") 145)
  (global $OPENINGS i32 (i32.const 0x100100))
  (global $OUTPUT i32 (i32.const 0x110000))

  ;; Kinds and flags of tape entries, as in scan.ts.
  (global $STRING i32 (i32.const 0x200000))
  (global $NUMBER i32 (i32.const 0x400000))
  (global $LITERAL i32 (i32.const 0x600000))
  (global $OBJECT i32 (i32.const 0x800000))
  (global $ARRAY i32 (i32.const 0xa00000))
  (global $CLOSE i32 (i32.const 0xc00000))
  (global $ESCAPED i32 (i32.const 0x1000000))

  ;; Writes the tape of `length` bytes of input to the output, its entries numbered from `base` on. Gives the bytes of the
  ;; tape, plus 1 when a string may hold a byte over 0x7f. Gives -1 for what is not JSON or has too much of something, and for
  ;; what is rare in records: white space, \u, numbers other than plain digits.
  (func (export "scan") (param $length i32) (param $base i32) (param $depth_max i32) (param $keys_max i32) (result i32)
    (local $at i32) (local $byte i32) (local $from i32) (local $word i32)
    (local $next i32) (local $opening i32) (local $depth i32) (local $keys i32)
    (local $in_object i32) (local $expects_key i32) (local $escaped i32)
    (local $block v128) (local $seen v128) (local $special i32)
    ;; A zero ends whatever is being read.
    (v128.store (local.get $length) (v128.const i64x2 0 0))
    (local.set $next (global.get $OUTPUT))
    (loop $value
      (local.set $from (local.get $at))
      (local.set $byte (i32.load8_u (local.get $at)))
      (block $behind_value

        (if (i32.eq (local.get $byte) (i32.const 0x22)) (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (local.set $escaped (i32.const 0))
          (block $end_of_string
            (loop $text
              (local.set $block (v128.load (local.get $at)))
              (local.set $seen (v128.or (local.get $seen) (local.get $block)))
              (local.set $special (i8x16.bitmask (v128.or
                (v128.or
                  (i8x16.eq (local.get $block) (i8x16.splat (i32.const 0x22)))
                  (i8x16.eq (local.get $block) (i8x16.splat (i32.const 0x5c))))
                (i8x16.lt_u (local.get $block) (i8x16.splat (i32.const 0x20))))))
              (if (i32.eqz (local.get $special)) (then
                (local.set $at (i32.add (local.get $at) (i32.const 16)))
                (br $text)))
              (local.set $at (i32.add (local.get $at) (i32.ctz (local.get $special))))
              (local.set $byte (i32.load8_u (local.get $at)))
              (br_if $end_of_string (i32.eq (local.get $byte) (i32.const 0x22)))
              (if (i32.ne (local.get $byte) (i32.const 0x5c)) (then (return (i32.const -1))))
              (if (i32.eqz (call $is_escape (i32.load8_u offset=1 (local.get $at)))) (then (return (i32.const -1))))
              (local.set $escaped (global.get $ESCAPED))
              (local.set $at (i32.add (local.get $at) (i32.const 2)))
              (br $text)))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (i32.store (local.get $next) (i32.or
            (i32.or (local.get $from) (local.get $escaped))
            (select (i32.const 0) (global.get $STRING) (local.get $expects_key))))
          (i32.store offset=4 (local.get $next) (local.get $at))
          (local.set $next (i32.add (local.get $next) (i32.const 8)))
          (br_if $behind_value (i32.eqz (local.get $expects_key)))
          (local.set $keys (i32.add (local.get $keys) (i32.const 1)))
          (if (i32.gt_u (local.get $keys) (local.get $keys_max)) (then (return (i32.const -1))))
          (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x3a)) (then (return (i32.const -1))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (local.set $expects_key (i32.const 0))
          (br $value)))
        (if (local.get $expects_key) (then (return (i32.const -1))))

        ;; [ and { differ in one bit, and each is two less than its closing one.
        (if (i32.eq (i32.or (local.get $byte) (i32.const 0x20)) (i32.const 0x7b)) (then
          (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
          (if (i32.gt_u (local.get $depth) (local.get $depth_max)) (then (return (i32.const -1))))
          (local.set $in_object (i32.eq (local.get $byte) (i32.const 0x7b)))
          (i32.store (call $opening_at (local.get $depth)) (local.get $next))
          (i32.store (local.get $next) (i32.or
            (local.get $at)
            (select (global.get $OBJECT) (global.get $ARRAY) (local.get $in_object))))
          (local.set $next (i32.add (local.get $next) (i32.const 8)))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br_if $behind_value (i32.eq (i32.load8_u (local.get $at)) (i32.add (local.get $byte) (i32.const 2))))
          (local.set $expects_key (local.get $in_object))
          (br $value)))

        (if (i32.lt_u (i32.sub (local.get $byte) (i32.const 0x30)) (i32.const 10))
          (then
            (loop $digits
              (local.set $at (i32.add (local.get $at) (i32.const 1)))
              ;; Behind a leading zero comes no other digit.
              (br_if $digits (i32.and
                (i32.ne (local.get $byte) (i32.const 0x30))
                (i32.lt_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30)) (i32.const 10)))))
            (i32.store (local.get $next) (i32.or (local.get $from) (global.get $NUMBER))))
          (else
            (local.set $word (i32.load (local.get $at)))
            (local.set $at (i32.add (local.get $at) (i32.const 4)))
            (block $is_literal
              (br_if $is_literal (i32.eq (local.get $word) (i32.const 0x65757274))) ;; true
              (br_if $is_literal (i32.eq (local.get $word) (i32.const 0x6c6c756e))) ;; null
              (if (i32.ne (local.get $word) (i32.const 0x736c6166)) (then (return (i32.const -1)))) ;; fals
              (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x65)) (then (return (i32.const -1)))) ;; e
              (local.set $at (i32.add (local.get $at) (i32.const 1))))
            (i32.store (local.get $next) (i32.or (local.get $from) (global.get $LITERAL)))))
        (i32.store offset=4 (local.get $next) (local.get $at))
        (local.set $next (i32.add (local.get $next) (i32.const 8))))

      ;; Behind a value, or behind a bracket that its closing one follows: what closes here, and does more come?
      (loop $close
        (if (i32.eqz (local.get $depth)) (then
          (if (i32.ne (local.get $at) (local.get $length)) (then (return (i32.const -1))))
          (return (i32.or
            (i32.sub (local.get $next) (global.get $OUTPUT))
            (i32.ne (i8x16.bitmask (local.get $seen)) (i32.const 0))))))
        (local.set $byte (i32.load8_u (local.get $at)))
        (local.set $from (local.get $at))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (if (i32.eq (local.get $byte) (i32.const 0x2c)) (then
          (local.set $expects_key (local.get $in_object))
          (br $value)))
        (if (i32.ne (local.get $byte) (select (i32.const 0x7d) (i32.const 0x5d) (local.get $in_object)))
          (then (return (i32.const -1))))
        (local.set $opening (i32.load (call $opening_at (local.get $depth))))
        (i32.store (local.get $next) (i32.or (local.get $from) (global.get $CLOSE)))
        (i32.store offset=4 (local.get $next) (call $number_of (local.get $opening) (local.get $base)))
        (local.set $next (i32.add (local.get $next) (i32.const 8)))
        (i32.store offset=4 (local.get $opening) (call $number_of (local.get $next) (local.get $base)))
        (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
        ;; Outside everything this reads some entry or byte, and nobody asks.
        (local.set $in_object (i32.eq
          (i32.and (i32.load (i32.load (call $opening_at (local.get $depth)))) (i32.const 0xe00000))
          (global.get $OBJECT)))
        (br $close)))
    (unreachable))

  ;; Where the address of the bracket that is open at this depth stands.
  (func $opening_at (param $depth i32) (result i32)
    (i32.add (global.get $OPENINGS) (i32.shl (local.get $depth) (i32.const 2))))

  ;; Place in the tape of the entry at an address.
  (func $number_of (param $address i32) (param $base i32) (result i32)
    (i32.add (local.get $base) (i32.shr_u (i32.sub (local.get $address) (global.get $OUTPUT)) (i32.const 2))))

  ;; Behind a backslash, with nothing after it: " \ / b f n r t, the letters as bits counted from a.
  (func $is_escape (param $byte i32) (result i32)
    (local $letter i32)
    (local.set $letter (i32.sub (local.get $byte) (i32.const 0x61)))
    (i32.or
      (i32.or
        (i32.eq (local.get $byte) (i32.const 0x22))
        (i32.eq (local.get $byte) (i32.const 0x5c)))
      (i32.or
        (i32.eq (local.get $byte) (i32.const 0x2f))
        (i32.and
          (i32.lt_u (local.get $letter) (i32.const 26))
          (i32.and (i32.shr_u (i32.const 0xa2022) (local.get $letter)) (i32.const 1)))))))
