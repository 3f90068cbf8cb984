;; Words, numbers and arrays of token ids: see json.wat.

(func $scalar (param $at i32) (result i32)
  (local $byte i32)
  (local.set $byte (i32.load8_u (local.get $at)))
  (if (i32.eq (local.get $byte) (i32.const 0x22)) ;; "
    (then (return (call $string (i32.add (local.get $at) (i32.const 1))))))
  (if (i32.eq (local.get $byte) (i32.const 0x74)) ;; t
    (then (return (call $word (i32.const 0x65757274) (local.get $at))))) ;; true
  (if (i32.eq (local.get $byte) (i32.const 0x66)) ;; f
    (then (return (call $word (i32.const 0x65736c61) (i32.add (local.get $at) (i32.const 1)))))) ;; alse
  (if (i32.eq (local.get $byte) (i32.const 0x6e)) ;; n
    (then (return (call $word (i32.const 0x6c6c756e) (local.get $at))))) ;; null
  (call $number (local.get $at)))

;; Four letters, the first one lowest.
(func $word (param $letters i32) (param $at i32) (result i32)
  (local $wrong i32)
  (local.set $wrong (i32.xor (local.get $letters) (i32.load (local.get $at))))
  (if (local.get $wrong) (then
    (call $refuseAt (global.get $NOT_JSON)
      (i32.add (local.get $at) (i32.shr_u (i32.ctz (local.get $wrong)) (i32.const 3))))))
  (i32.add (local.get $at) (i32.const 4)))

(func $number (param $at i32) (result i32)
  (local $sign i32)
  (local.set $at (i32.add (local.get $at) (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x2d)))) ;; -
  (local.set $at (if (result i32) (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x30)) ;; 0
    (then (i32.add (local.get $at) (i32.const 1)))
    (else (call $digits (local.get $at)))))
  (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x2e)) ;; .
    (then (local.set $at (call $digits (i32.add (local.get $at) (i32.const 1))))))
  ;; As with all letters, one bit is the difference between small and capital.
  (if (i32.ne (i32.or (i32.load8_u (local.get $at)) (i32.const 0x20)) (i32.const 0x65)) ;; e
    (then (return (local.get $at))))
  (local.set $sign (i32.load8_u offset=1 (local.get $at)))
  (call $digits (i32.add (i32.add (local.get $at) (i32.const 1)) (i32.or
    (i32.eq (local.get $sign) (i32.const 0x2b)) ;; +
    (i32.eq (local.get $sign) (i32.const 0x2d)))))) ;; -

;; One at least.
(func $digits (param $at i32) (result i32)
  (local $others i32)
  (if (i32.eqz (call $isDigit (local.get $at)))
    (then (call $refuseAt (global.get $NOT_JSON) (local.get $at))))
  (loop $block
    (local.set $at (call $near (local.get $at)))
    (local.set $others (i32.xor (i32.const 0xffff)
      (i8x16.bitmask (call $areDigits (v128.load (local.get $at))))))
    (if (i32.eqz (local.get $others)) (then
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br $block))))
  (i32.add (local.get $at) (i32.ctz (local.get $others))))

(func $isDigit (param $at i32) (result i32)
  (i32.lt_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30)) (i32.const 10)))

;; Goes over as many items of an array as are whole numbers without a sign, up to where the first other one begins or the
;; last one, of which this cannot tell that it ends there. 64 bytes at a time, each of which tells by the one or two before it
;; whether it fits: a digit unless after a leading zero, a comma after a digit, a space after a comma or a space.
(func $tokenIds (param $at i32) (result i32)
  (local $a v128) (local $b v128) (local $c v128) (local $d v128)
  (local $item i32) ;; where the latest item begins
  ;; One bit for each of the bytes.
  (local $digits i64) (local $commas i64) (local $spaces i64) (local $zeros i64) (local $wrong i64)
  ;; The same of the bytes before.
  (local $afterDigit i64) (local $afterGap i64) (local $afterZero i64)
  ;; What the last byte of the block before was.
  (local $wasDigit i64) (local $wasGap i64) (local $wasZero i64)
  (local.set $item (local.get $at))
  (if (i32.eqz (call $isDigit (local.get $at))) (then (return (local.get $at))))
  (loop $block
    (if (i32.gt_u (local.get $at) (global.get $limit)) (then (return (call $space (local.get $item)))))
    (local.set $a (v128.load (local.get $at)))
    (local.set $b (v128.load offset=16 (local.get $at)))
    (local.set $c (v128.load offset=32 (local.get $at)))
    (local.set $d (v128.load offset=48 (local.get $at)))
    (local.set $digits (call $bits
      (call $areDigits (local.get $a)) (call $areDigits (local.get $b))
      (call $areDigits (local.get $c)) (call $areDigits (local.get $d))))
    (local.set $commas (call $bitsOf (i32.const 0x2c) (local.get $a) (local.get $b) (local.get $c) (local.get $d)))
    (local.set $spaces (call $bitsOf (i32.const 0x20) (local.get $a) (local.get $b) (local.get $c) (local.get $d)))
    (local.set $zeros (call $bitsOf (i32.const 0x30) (local.get $a) (local.get $b) (local.get $c) (local.get $d)))
    (local.set $afterDigit (i64.or (i64.shl (local.get $digits) (i64.const 1)) (local.get $wasDigit)))
    (local.set $zeros (i64.and (local.get $zeros) (i64.xor (local.get $afterDigit) (i64.const -1)))) ;; leading ones
    (local.set $afterZero (i64.or (i64.shl (local.get $zeros) (i64.const 1)) (local.get $wasZero)))
    (local.set $wrong (i64.or (local.get $commas) (local.get $spaces)))
    (local.set $afterGap (i64.or (i64.shl (local.get $wrong) (i64.const 1)) (local.get $wasGap)))
    (local.set $wasDigit (i64.shr_u (local.get $digits) (i64.const 63)))
    (local.set $wasZero (i64.shr_u (local.get $zeros) (i64.const 63)))
    (local.set $wasGap (i64.shr_u (local.get $wrong) (i64.const 63)))
    (local.set $wrong (i64.xor (i64.const -1) (i64.or
      (i64.and (local.get $digits) (i64.xor (local.get $afterZero) (i64.const -1)))
      (i64.or
        (i64.and (local.get $commas) (local.get $afterDigit))
        (i64.and (local.get $spaces) (local.get $afterGap))))))
    ;; Commas before the first wrong byte, which are all where there is none.
    (local.set $commas (i64.and (local.get $commas)
      (i64.sub (i64.and (local.get $wrong) (i64.sub (i64.const 0) (local.get $wrong))) (i64.const 1))))
    (if (i32.eqz (i64.eqz (local.get $commas))) (then
      (local.set $item (i32.add (local.get $at)
        (i32.sub (i32.const 64) (i32.wrap_i64 (i64.clz (local.get $commas))))))))
    (if (i32.eqz (i64.eqz (local.get $wrong))) (then (return (call $space (local.get $item)))))
    (local.set $at (i32.add (local.get $at) (i32.const 64)))
    (br $block))
  (unreachable))

(func $areDigits (param $bytes v128) (result v128)
  (call $areAtMost (i32.const 9) (i8x16.sub (local.get $bytes) (i8x16.splat (i32.const 0x30)))))
