;; How far the inside of a JSON string goes, 16 bytes at a time: JavaScript takes them one by one, and needs ten times as long.
;; What runs is text-wasm.ts, which `npm run wasm` makes of this.
(module
  ;; One slice of a body, and a zero byte after it. That zero ends every string, so nothing here has to know lengths.
  (memory (export "memory") 1)

  ;; Index of the first byte from $at on that is not the inside of a string: the closing quote, or what must not stand there,
  ;; which is a control character (such as that zero) or a backslash that begins no whole escape.
  (func (export "endOfText") (param $at i32) (param $mask i32) (result i32)
    (local $bytes v128)
    (local $stops i32) ;; one bit for each of the 16 bytes that is a quote, a control character or a backslash
    (local $after i32) ;; index after the latest escape
    (local $length i32)
    ;; Constants stay in registers only as locals: written into the loop they would be made anew in each round.
    (local $backslash v128) (local $flip v128) (local $bound v128)
    (local.set $backslash (i8x16.splat (i32.const 0x5c)))
    ;; One comparison finds quotes and control characters: flipping bit 1 ($mask is 0x02) takes the quote from 0x22 to 0x20,
    ;; next to the control characters, and the space from 0x20 to 0x22. It is a signed one, the only cheap one, so that bytes
    ;; beyond ASCII are found, too, unless bit 7 of both sides is flipped as well ($mask is 0x82).
    (local.set $flip (i8x16.splat (local.get $mask)))
    (local.set $bound (i8x16.splat (i32.xor (local.get $mask) (i32.const 0x23))))

    (loop $block
      ;; A loop of its own, so that the constants need not leave their registers for what is rarer.
      (loop $plain
        (local.set $bytes (v128.load (local.get $at)))
        (local.set $stops (i8x16.bitmask (v128.or
          (i8x16.lt_s (v128.xor (local.get $bytes) (local.get $flip)) (local.get $bound))
          (i8x16.eq (local.get $bytes) (local.get $backslash)))))
        (if (i32.eqz (local.get $stops)) (then
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (br $plain))))
      (loop $stop
        (local.set $after (i32.add (local.get $at) (i32.ctz (local.get $stops))))
        (local.set $length (call $escapeLength (local.get $after)))
        (if (i32.eqz (local.get $length)) (then (return (local.get $after))))
        (local.set $after (i32.add (local.get $after) (local.get $length)))
        ;; What belongs to the escape stops nothing. (At most 21 of the 32 bits go.)
        (local.set $stops (i32.and (local.get $stops)
          (i32.shl (i32.const -1) (i32.sub (local.get $after) (local.get $at)))))
        (br_if $stop (local.get $stops)))
      ;; An escape may reach over the end of the block.
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (if (i32.gt_u (local.get $after) (local.get $at)) (then (local.set $at (local.get $after))))
      (br $block))
    (unreachable))

  ;; Length of the escape that begins at $at; 0 where none does.
  (func $escapeLength (param $at i32) (result i32)
    (local $letter i32)
    (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x5c)) (then (return (i32.const 0))))
    (local.set $letter (i32.load8_u offset=1 (local.get $at)))
    (if (call $isEither (local.get $letter) (i32.const 0x6e) (i32.const 0x22)) (then (return (i32.const 2)))) ;; n "
    (if (i32.eq (local.get $letter) (i32.const 0x75)) ;; u
      (then (return (i32.mul (i32.const 6) (call $areHex (local.get $at))))))
    (i32.mul (i32.const 2) (i32.or
      (i32.or
        (call $isEither (local.get $letter) (i32.const 0x5c) (i32.const 0x2f)) ;; \ /
        (call $isEither (local.get $letter) (i32.const 0x62) (i32.const 0x66))) ;; b f
      (call $isEither (local.get $letter) (i32.const 0x72) (i32.const 0x74))))) ;; r t

  (func $isEither (param $byte i32) (param $one i32) (param $other i32) (result i32)
    (i32.or (i32.eq (local.get $byte) (local.get $one)) (i32.eq (local.get $byte) (local.get $other))))

  ;; Whether four hexadecimal digits follow the \u at $at.
  (func $areHex (param $at i32) (result i32)
    (i32.and
      (i32.and
        (call $isHex (i32.load8_u offset=2 (local.get $at)))
        (call $isHex (i32.load8_u offset=3 (local.get $at))))
      (i32.and
        (call $isHex (i32.load8_u offset=4 (local.get $at)))
        (call $isHex (i32.load8_u offset=5 (local.get $at))))))

  (func $isHex (param $byte i32) (result i32)
    (i32.or
      (i32.lt_u (i32.sub (local.get $byte) (i32.const 0x30)) (i32.const 10)) ;; 0-9
      (i32.lt_u (i32.sub (i32.or (local.get $byte) (i32.const 0x20)) (i32.const 0x61)) (i32.const 6))))) ;; a-f, A-F
