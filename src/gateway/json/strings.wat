;; Strings, and what all look at many bytes with: see json.wat.

(func $quoted (param $at i32) (result i32)
  (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x22)) ;; "
    (then (call $refuseAt (global.get $NOT_JSON) (local.get $at))))
  (call $string (i32.add (local.get $at) (i32.const 1))))

;; From behind the opening quote to behind the closing one. Most strings are short and plain, as keys are.
(func $string (param $at i32) (result i32)
  (local $bytes v128) (local $end i32)
  (local.set $at (call $near (local.get $at)))
  (local.set $bytes (v128.load (local.get $at)))
  (local.set $end (i32.add (local.get $at) (i32.ctz (i8x16.bitmask (v128.or
    (call $areAtMost (i32.const 0x1f) (local.get $bytes))
    (call $areQuotesOrBackslashes (local.get $bytes)))))))
  ;; Where there is none, $end is 32 bytes on, and what stands there is looked at once more.
  (if (i32.or
    (i32.gt_u (local.get $end) (i32.add (local.get $at) (i32.const 16)))
    (i32.ne (i32.load8_u (local.get $end)) (i32.const 0x22)))
    (then (return (call $text (local.get $at)))))
  (global.set $high (i32.or (global.get $high) (i8x16.bitmask (local.get $bytes))))
  (i32.add (local.get $end) (i32.const 1)))

;; The same for long ones: goes on for as long as 64 bytes have no end and no escape. V8 builds other functions into one that it
;; compiles only as far as a budget goes, which depends on what it has seen called. So this loop calls none.
(func $text (param $at i32) (result i32)
  (local $a v128) (local $b v128) (local $c v128) (local $d v128)
  (local $least v128) (local $high v128)
  ;; Constants stay in registers only as locals: written into the loop they would be made anew in each round.
  (local $quote v128) (local $backslash v128) (local $lastControl v128)
  (local.set $quote (i8x16.splat (i32.const 0x22)))
  (local.set $backslash (i8x16.splat (i32.const 0x5c)))
  (local.set $lastControl (i8x16.splat (i32.const 0x1f)))
  (loop $block
    (if (i32.gt_u (local.get $at) (global.get $limit)) (then (local.set $at (call $slide (local.get $at)))))
    (local.set $a (v128.load (local.get $at)))
    (local.set $b (v128.load offset=16 (local.get $at)))
    (local.set $c (v128.load offset=32 (local.get $at)))
    (local.set $d (v128.load offset=48 (local.get $at)))
    (local.set $high (v128.or (local.get $high) (v128.or
      (v128.or (local.get $a) (local.get $b))
      (v128.or (local.get $c) (local.get $d)))))
    (local.set $least (i8x16.min_u
      (i8x16.min_u (local.get $a) (local.get $b))
      (i8x16.min_u (local.get $c) (local.get $d))))
    (if (i32.eqz (v128.any_true (v128.or
          (i8x16.eq (local.get $least) (i8x16.min_u (local.get $least) (local.get $lastControl)))
          (v128.or
            (v128.or
              (v128.or (i8x16.eq (local.get $a) (local.get $quote)) (i8x16.eq (local.get $b) (local.get $quote)))
              (v128.or (i8x16.eq (local.get $c) (local.get $quote)) (i8x16.eq (local.get $d) (local.get $quote))))
            (v128.or
              (v128.or (i8x16.eq (local.get $a) (local.get $backslash)) (i8x16.eq (local.get $b) (local.get $backslash)))
              (v128.or (i8x16.eq (local.get $c) (local.get $backslash)) (i8x16.eq (local.get $d) (local.get $backslash))))))))
      (then
        (local.set $at (i32.add (local.get $at) (i32.const 64)))
        (br $block))))
  (global.set $high (i32.or (global.get $high) (i8x16.bitmask (local.get $high))))
  (call $escapedText (local.get $at)))

;; The same where there are escapes, without a branch for each, which nobody could predict. A function of its own, so that plain
;; text does not decide how V8 compiles it; and too large to be built into others, so that its budget is its own.
(func $escapedText (param $at i32) (result i32)
  (local $a v128) (local $b v128) (local $c v128) (local $d v128)
  (local $high v128)
  ;; One bit for each of the bytes.
  (local $quotes i64) (local $backslashes i64) (local $escaped i64) (local $odd i64)
  ;; Not zero when some byte has to be looked at more closely.
  (local $doubts i64)
  ;; What the block before asks of the first bytes of this one: one to be an escaped letter, up to four to be digits.
  (local $wasEscape i64) (local $wasUnicode i64)
  (loop $block
    (local.set $at (call $near (local.get $at)))
    (local.set $a (v128.load (local.get $at)))
    (local.set $b (v128.load offset=16 (local.get $at)))
    (local.set $c (v128.load offset=32 (local.get $at)))
    (local.set $d (v128.load offset=48 (local.get $at)))
    (local.set $high (v128.or (local.get $high) (v128.or
      (v128.or (local.get $a) (local.get $b))
      (v128.or (local.get $c) (local.get $d)))))
    (local.set $quotes (call $bitsOf (i32.const 0x22)
      (local.get $a) (local.get $b) (local.get $c) (local.get $d)))
    (local.set $backslashes (call $bitsOf (i32.const 0x5c)
      (local.get $a) (local.get $b) (local.get $c) (local.get $d)))
    ;; Of each run of backslashes every other one begins an escape. Which, is carried along by a subtraction, as
    ;; simdjson does it (Langdale and Lemire, Parsing Gigabytes of JSON per Second).
    (local.set $escaped (i64.and (local.get $backslashes) (i64.xor (local.get $wasEscape) (i64.const -1))))
    (local.set $odd (i64.xor (i64.const 0xaaaaaaaaaaaaaaaa) (i64.sub
      (i64.or (i64.shl (local.get $escaped) (i64.const 1)) (i64.const 0xaaaaaaaaaaaaaaaa))
      (local.get $escaped))))
    (local.set $escaped (i64.xor (local.get $odd) (i64.or (local.get $backslashes) (local.get $wasEscape))))
    (local.set $wasEscape (i64.shr_u (i64.and (local.get $odd) (local.get $backslashes)) (i64.const 63)))
    ;; Nearly all letters are one of these three.
    (local.set $doubts (i64.or
      (i64.or
        (local.get $wasUnicode)
        (i64.extend_i32_u (v128.any_true (call $areAtMost (i32.const 0x1f) (i8x16.min_u
          (i8x16.min_u (local.get $a) (local.get $b))
          (i8x16.min_u (local.get $c) (local.get $d)))))))
      (i64.and (local.get $escaped) (i64.xor (i64.const -1) (i64.or
        (i64.or (local.get $quotes) (local.get $backslashes))
        (call $bitsOf (i32.const 0x6e) ;; n
          (local.get $a) (local.get $b) (local.get $c) (local.get $d)))))))
    (local.set $quotes (i64.and (local.get $quotes) (i64.xor (local.get $escaped) (i64.const -1))))
    (if (i32.eqz (i64.eqz (local.get $doubts))) (then
      (local.set $wasUnicode
        (call $inspect (local.get $at) (local.get $quotes) (local.get $escaped) (local.get $wasUnicode)))))
    (if (i64.eqz (local.get $quotes)) (then
      (local.set $at (i32.add (local.get $at) (i32.const 64)))
      (br $block))))
  (global.set $high (i32.or (global.get $high) (i8x16.bitmask (local.get $high))))
  (i32.add (local.get $at) (i32.add (i32.wrap_i64 (i64.ctz (local.get $quotes))) (i32.const 1))))

;; Looks at each of 64 bytes up to the closing quote, if it is among them: refuses control characters and what is no escape.
;; Returns which of the first bytes of the next block must be digits.
(func $inspect (param $at i32) (param $quotes i64) (param $escaped i64) (param $wasUnicode i64) (result i64)
  (local $a v128) (local $b v128) (local $c v128) (local $d v128)
  (local $unicode i64) (local $digits i64) (local $wrong i64)
  ;; What a byte may be in an escape, by its low half and by its high one: 0x01 " /, 0x02 \, 0x04 b f n, 0x08 r t, 0x80 u as its
  ;; letter; 0x20 0-9, 0x40 a-f A-F as a digit.
  (local $byLow v128) (local $byHigh v128)
  (local.set $byLow
    (v128.const i8x16 0x20 0x60 0x6d 0x60 0x68 0xe0 0x64 0x20 0x20 0x20 0 0 0x02 0 0x04 0x01))
  (local.set $byHigh
    (v128.const i8x16 0 0 0x01 0x20 0x40 0x02 0x44 0x88 0 0 0 0 0 0 0 0))
  (local.set $a (v128.load (local.get $at)))
  (local.set $b (v128.load offset=16 (local.get $at)))
  (local.set $c (v128.load offset=32 (local.get $at)))
  (local.set $d (v128.load offset=48 (local.get $at)))
  (local.set $wrong (call $bits
    (call $areAtMost (i32.const 0x1f) (local.get $a)) (call $areAtMost (i32.const 0x1f) (local.get $b))
    (call $areAtMost (i32.const 0x1f) (local.get $c)) (call $areAtMost (i32.const 0x1f) (local.get $d))))
  (local.set $a (call $classes (local.get $a) (local.get $byLow) (local.get $byHigh)))
  (local.set $b (call $classes (local.get $b) (local.get $byLow) (local.get $byHigh)))
  (local.set $c (call $classes (local.get $c) (local.get $byLow) (local.get $byHigh)))
  (local.set $d (call $classes (local.get $d) (local.get $byLow) (local.get $byHigh)))
  ;; The highest bit of a class is that of u.
  (local.set $unicode (i64.and (local.get $escaped)
    (call $bits (local.get $a) (local.get $b) (local.get $c) (local.get $d))))
  (local.set $digits (i64.or (local.get $wasUnicode) (i64.or
    (i64.or (i64.shl (local.get $unicode) (i64.const 1)) (i64.shl (local.get $unicode) (i64.const 2)))
    (i64.or (i64.shl (local.get $unicode) (i64.const 3)) (i64.shl (local.get $unicode) (i64.const 4))))))
  (local.set $wrong (i64.or (local.get $wrong) (i64.or
    (i64.and (local.get $escaped)
      (call $bitsWithout (i32.const 0x8f) (local.get $a) (local.get $b) (local.get $c) (local.get $d)))
    (i64.and (local.get $digits)
      (call $bitsWithout (i32.const 0x60) (local.get $a) (local.get $b) (local.get $c) (local.get $d))))))
  ;; What comes after the lowest of the quotes is not of this string.
  (local.set $wrong (i64.and (local.get $wrong)
    (i64.xor (local.get $quotes) (i64.sub (local.get $quotes) (i64.const 1)))))
  (if (i32.eqz (i64.eqz (local.get $wrong))) (then
    (local.set $wrong (i64.ctz (local.get $wrong)))
    (local.set $at (i32.add (local.get $at) (i32.wrap_i64 (local.get $wrong))))
    (if (i32.wrap_i64 (i64.and (i64.const 1)
          (i64.shr_u (i64.or (local.get $escaped) (local.get $digits)) (local.get $wrong))))
      (then (local.set $at (call $backslashBefore (local.get $at)))))
    (call $refuseAt (global.get $NOT_JSON) (local.get $at))))
  (i64.or
    (i64.or (i64.shr_u (local.get $unicode) (i64.const 63)) (i64.shr_u (local.get $unicode) (i64.const 62)))
    (i64.or (i64.shr_u (local.get $unicode) (i64.const 61)) (i64.shr_u (local.get $unicode) (i64.const 60)))))

;; The faults of an escape are said to be where it begins.
(func $backslashBefore (param $at i32) (result i32)
  (loop $back
    (local.set $at (i32.sub (local.get $at) (i32.const 1)))
    (br_if $back (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x5c)))) ;; backslash
  (local.get $at))

(func $areQuotesOrBackslashes (param $bytes v128) (result v128)
  (v128.or
    (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x22)))
    (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x5c)))))

;; What both halves of a byte allow it to be, by the tables above.
(func $classes (param $bytes v128) (param $byLow v128) (param $byHigh v128) (result v128)
  (v128.and
    (i8x16.swizzle (local.get $byLow) (v128.and (local.get $bytes) (i8x16.splat (i32.const 0x0f))))
    (i8x16.swizzle (local.get $byHigh)
      (v128.and (i16x8.shr_u (local.get $bytes) (i32.const 4)) (i8x16.splat (i32.const 0x0f))))))

;; ---- Bytes at once ----

;; Without signs, for which processors have no comparison.
(func $areAtMost (param $most i32) (param $bytes v128) (result v128)
  (i8x16.eq (local.get $bytes) (i8x16.min_u (local.get $bytes) (i8x16.splat (local.get $most)))))

(func $bitsOf (param $byte i32) (param $a v128) (param $b v128) (param $c v128) (param $d v128) (result i64)
  (call $bits
    (i8x16.eq (local.get $a) (i8x16.splat (local.get $byte)))
    (i8x16.eq (local.get $b) (i8x16.splat (local.get $byte)))
    (i8x16.eq (local.get $c) (i8x16.splat (local.get $byte)))
    (i8x16.eq (local.get $d) (i8x16.splat (local.get $byte)))))

;; The highest bit of each byte.
(func $bits (param $a v128) (param $b v128) (param $c v128) (param $d v128) (result i64)
  (i64.or
    (i64.extend_i32_u (i32.or
      (i8x16.bitmask (local.get $a))
      (i32.shl (i8x16.bitmask (local.get $b)) (i32.const 16))))
    (i64.shl
      (i64.extend_i32_u (i32.or
        (i8x16.bitmask (local.get $c))
        (i32.shl (i8x16.bitmask (local.get $d)) (i32.const 16))))
      (i64.const 32))))

;; The bytes that have none of the bits of $mask.
(func $bitsWithout (param $mask i32) (param $a v128) (param $b v128) (param $c v128) (param $d v128) (result i64)
  (local $masks v128)
  (local.set $masks (i8x16.splat (local.get $mask)))
  (call $bitsOf (i32.const 0)
    (v128.and (local.get $a) (local.get $masks)) (v128.and (local.get $b) (local.get $masks))
    (v128.and (local.get $c) (local.get $masks)) (v128.and (local.get $d) (local.get $masks))))
