//! Pictures on their way to an encoder in hardware: a device, a pool of its frames, and the upload.
#![allow(unsafe_code, reason = "ffmpeg-next knows no hardware devices and frames")]

use std::ptr;

use ffmpeg_next::{Error, encoder, ffi, format, frame};

use crate::transcode::wire;

/// Frames in a device's memory, for one encoder.
pub(super) struct Frames {
    /// An AVBufferRef to an AVHWFramesContext, never null.
    context: *mut ffi::AVBufferRef,
}

// SAFETY: libav counts references to buffers atomically, and whoever has a `Frames` is the only one to use it.
unsafe impl Send for Frames {}

impl Frames {
    /// A pool of pictures of this size in the memory that `kind` encodes from; `None` for encoders that take
    /// pictures from main memory.
    pub(super) fn open(kind: wire::Encoder, width: u32, height: u32) -> Result<Option<Self>, Error> {
        let (device, format) = match kind {
            wire::Encoder::Libx264 | wire::Encoder::Nvenc => return Ok(None),
            wire::Encoder::Vaapi => {
                (ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI, ffi::AVPixelFormat::AV_PIX_FMT_VAAPI)
            }
            wire::Encoder::Qsv => {
                (ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_QSV, ffi::AVPixelFormat::AV_PIX_FMT_QSV)
            }
        };
        let mut reference = ptr::null_mut();
        // SAFETY: all arguments but the first may be null, and that one is ours. On success `reference` owns a
        // device; the pool takes its own reference to it, so ours is released whatever happens.
        let context = unsafe {
            check(ffi::av_hwdevice_ctx_create(&raw mut reference, device, ptr::null(), ptr::null_mut(), 0))?;
            let context = ffi::av_hwframe_ctx_alloc(reference);
            ffi::av_buffer_unref(&raw mut reference);
            context
        };
        if context.is_null() {
            return Err(super::OUT_OF_MEMORY);
        }
        let this = Self { context };
        // SAFETY: the data of a frames context's buffer is an AVHWFramesContext; its fields are set before it is
        // initialised, as libav asks.
        unsafe {
            let frames: *mut ffi::AVHWFramesContext = (*context).data.cast();
            (*frames).format = format;
            (*frames).sw_format = ffi::AVPixelFormat::AV_PIX_FMT_NV12;
            (*frames).width = i32::try_from(width).unwrap_or(i32::MAX);
            (*frames).height = i32::try_from(height).unwrap_or(i32::MAX);
            (*frames).initial_pool_size = POOL;
            check(ffi::av_hwframe_ctx_init(context))?;
        }
        Ok(Some(this))
    }

    /// Makes `encoder` take these.
    pub(super) fn attach(&self, encoder: &mut encoder::video::Video) -> Result<(), Error> {
        // SAFETY: the encoder's context is ours and not open yet; it owns the new reference and releases it.
        unsafe {
            let reference = ffi::av_buffer_ref(self.context);
            if reference.is_null() {
                return Err(super::OUT_OF_MEMORY);
            }
            (*encoder.as_mut_ptr()).hw_frames_ctx = reference;
            (*encoder.as_mut_ptr()).pix_fmt = (*(*self.context).data.cast::<ffi::AVHWFramesContext>()).format;
        }
        Ok(())
    }

    /// A copy of a picture in the device's memory, with its time and kind.
    pub(super) fn upload(&self, picture: &frame::Video) -> Result<frame::Video, Error> {
        let mut uploaded = frame::Video::empty();
        // SAFETY: `uploaded` is a frame without buffers, which is what av_hwframe_get_buffer fills; both frames live
        // through the calls.
        unsafe {
            check(ffi::av_hwframe_get_buffer(self.context, uploaded.as_mut_ptr(), 0))?;
            check(ffi::av_hwframe_transfer_data(uploaded.as_mut_ptr(), picture.as_ptr(), 0))?;
            check(ffi::av_frame_copy_props(uploaded.as_mut_ptr(), picture.as_ptr()))?;
        }
        Ok(uploaded)
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and released once.
        unsafe { ffi::av_buffer_unref(&raw mut self.context) }
    }
}

/// The layout that pictures for `kind` are scaled to.
pub(super) fn layout(kind: wire::Encoder) -> format::Pixel {
    match kind {
        wire::Encoder::Libx264 | wire::Encoder::Nvenc => format::Pixel::YUV420P,
        // What every such device takes.
        wire::Encoder::Vaapi | wire::Encoder::Qsv => format::Pixel::NV12,
    }
}

fn check(code: i32) -> Result<(), Error> {
    if code < 0 { Err(Error::from(code)) } else { Ok(()) }
}

/// QSV allocates all its frames at once. One in the encoder, one on the way, and room for reordering it does not do.
const POOL: i32 = 8;
