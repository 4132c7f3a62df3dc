<?php
// Loads php-amqplib: Composer's, or Debian's package. Fails where there is neither.

foreach ([__DIR__ . '/vendor/autoload.php', 'PhpAmqpLib/autoload.php'] as $file) {
    $found = stream_resolve_include_path($file);
    if ($found !== false) {
        require $found;
        return;
    }
}
exit(1);
